"""Fetches the newest message over POP3 with TLS: fetch.py HOST CA-FILE USER PASSWORD. The server's certificate is verified."""
import poplib
import ssl
import sys

host, authority, user, password = sys.argv[1:]
pop = poplib.POP3_SSL(host, 995, timeout=30, context=ssl.create_default_context(cafile=authority))
pop.user(user)
pop.pass_(password)
count, octets = pop.stat()
print(f"{user} has {count} messages, {octets} octets; unique-id of the newest: {pop.uidl(count).split()[2].decode()}")
print(*(line.decode() for line in pop.retr(count)[1]), sep="\n")
pop.quit()
