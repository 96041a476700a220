"""The one exception for what a user can put right."""


class UserError(Exception):
    """Bad input. Its text is one line: what (file, flag), what is wrong, what to do.

    The command line prints it without a traceback and exits with status 2.
    """
