"""Faces of the declarations: the HTTP door and the command line."""
