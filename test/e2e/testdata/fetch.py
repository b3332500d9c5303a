"""Fetches a mailbox by poplib: fetch.py tls|stls HOST ADDRESS CA-FILE, with the user's name and the password on two lines.

HOST is the name that the certificate must have, ADDRESS is where it is reached: there is no DNS. It prints JSON.
"""
import json
import poplib
import socket
import ssl
import sys

mode, host, address, authority = sys.argv[1:]
user, password = sys.stdin.read().splitlines()

# What DNS would do.
lookup = socket.getaddrinfo
socket.getaddrinfo = lambda name, *args, **options: lookup(address if name == host else name, *args, **options)

context = ssl.create_default_context(cafile=authority)
if mode == "tls":
    pop = poplib.POP3_SSL(host, 995, timeout=30, context=context)
else:
    pop = poplib.POP3(host, 110, timeout=30)
    pop.stls(context)
capabilities = sorted(pop.capa())
pop.user(user)
pop.pass_(password)
count, octets = pop.stat()
uids = [line.decode().split()[1] for line in pop.uidl()[1]]
messages = [b"\n".join(pop.retr(number + 1)[1]).decode() for number in range(count)]
pop.quit()
json.dump({"capabilities": capabilities, "count": count, "octets": octets, "uids": uids, "messages": messages}, sys.stdout)
