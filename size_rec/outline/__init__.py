"""The outline of the body on the mask: where it lies, what it tells, whether it may be measured."""
