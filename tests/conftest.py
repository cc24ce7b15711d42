"""What holds for all tests."""

import signal

# A shell that starts something in the background has it ignore SIGINT (POSIX, "Asynchronous Lists"), and so would every program
# that the tests start, Python's own handler included: those that are sent a Ctrl-C would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
