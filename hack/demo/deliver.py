"""Delivers a message over LMTP, as an MTA does: deliver.py HOST PORT RECIPIENT SUBJECT"""
import email.message
import email.utils
import smtplib
import sys

host, port, recipient, subject = sys.argv[1:]
message = email.message.EmailMessage()
message["From"] = "The demo <demo@example.org>"
message["To"] = recipient
message["Subject"] = subject
message["Date"] = email.utils.localtime()
message["Message-ID"] = email.utils.make_msgid(domain="example.org")
message.set_content("This message came in over LMTP, lies on a volume, and is fetched over POP3.\n")
with smtplib.LMTP(host, int(port), local_hostname="demo.example.org", timeout=30) as mta:
    mta.send_message(message, "demo@example.org", [recipient])
print(f"delivered to {recipient}: {subject}")
