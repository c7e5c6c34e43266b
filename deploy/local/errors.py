"""What keeps the local stack from running, said in one line to whoever typed the command."""


class StackError(Exception):
    """Cannot go on. The message is one sentence that says what is wrong and what to do about it."""


class Interrupted(Exception):
    """Somebody asked for the end (Ctrl-C, SIGTERM, SIGHUP) while the stack was still starting."""
