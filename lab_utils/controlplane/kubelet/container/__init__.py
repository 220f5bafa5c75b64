"""What the kubelet puts on the path of a container's Python; imports nothing of the lab.

Without root there is neither a network nor a file system of one's own. Python asks for both through
functions that can be replaced, and that is done here, in the container's own process: sitecustomize
is what every interpreter imports before anything else.
"""
