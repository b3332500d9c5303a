"""Runs a program on a terminal of its own, and prints what it shows there: terminal.py PROGRAM ARGUMENTS…

Nobody sits at it. When neomutt asks whether it may trust a certificate, it is told no, and to quit.
"""
import os
import pty
import sys

program, terminal = pty.fork()
if program == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b""
try:
    while part := os.read(terminal, 65536):
        sys.stdout.buffer.write(part)
        shown += part
        if b"(r)eject" in shown:
            os.write(terminal, b"rq")
            shown = b""
except OSError:  # as Linux tells that the program has left its terminal
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))
