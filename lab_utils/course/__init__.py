"""What a learner predicts, what the lab finds, and what a class makes of it."""
