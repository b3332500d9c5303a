"""Fetches by poplib what has not been fetched before: fetch.py tls|stls keep|delete HOST CA-FILE.

The user's name and the password come on two lines. Messages go to ~/Maildir, their unique-ids to ~/uids.
"""
import pathlib
import poplib
import ssl
import sys

mode, what, host, authority = sys.argv[1:]
user, password = sys.stdin.read().splitlines()
home = pathlib.Path.home()
known = home / "uids"

context = ssl.create_default_context(cafile=authority)
if mode == "tls":
    pop = poplib.POP3_SSL(host, 995, timeout=30, context=context)
else:
    pop = poplib.POP3(host, 110, timeout=30)
    pop.stls(context)
pop.user(user)
pop.pass_(password)
sizes = [int(line.split()[1]) for line in pop.list()[1]]
print(len(sizes), "messages,", sum(sizes), "octets")
for line in pop.uidl()[1]:
    number, uid = line.decode().split()
    if uid not in (known.read_text().split() if known.exists() else ()):
        (home / "Maildir" / "new" / uid).write_bytes(b"\n".join(pop.retr(number)[1]) + b"\n")
        with known.open("a") as file:
            print(uid, file=file)
    if what == "delete":
        pop.dele(number)
pop.quit()
