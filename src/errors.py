"""What a user can put right."""


class UserError(ValueError):
    """A mistake outside the program, told in one line: what was expected, what was received.

    The command lines print it without a traceback and exit with status 2.
    """
