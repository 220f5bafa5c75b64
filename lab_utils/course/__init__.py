"""What makes notebooks a course: claims that are checked."""
