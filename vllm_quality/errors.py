"""The one kind of error a person is meant to read: a sentence, no traceback."""


class UserError(Exception):
    """Something the user can put right; its text says what was wrong, where, and what to do."""
