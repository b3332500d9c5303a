"""Logs in by AUTH GSSAPI, as MIT Kerberos does it: client.py HOST:PORT SERVICE@HOST [OPTION=VALUE]...

It prints the server's last line. Options:
  mutual=yes|no     should the server prove who it is (yes)
  authzid=NAME      whom to act for (nobody else)
  seal=yes|no       encrypt the choice of a layer (no)
  layer=NUMBER      the layer (1, none)
  delegate=yes|no   hand credentials over (no)
  binding=HEX       the hash of a certificate, for a channel binding (none); "own" is that of this connection's
  spnego=yes|no     SPNEGO instead of RFC 4752 (no)
  tls=FILE          TLS from the first octet, with these authorities (none)
"""
import base64
import hashlib
import socket
import ssl
import struct
import sys

import gssapi

address, service = sys.argv[1:3]
options = dict(option.split("=", 1) for option in sys.argv[3:])
host, port = address.rsplit(":", 1)

connection = socket.create_connection((host, int(port)), timeout=30)
if "tls" in options:
    connection = ssl.create_default_context(cafile=options["tls"]).wrap_socket(connection, server_hostname=host)
if options.get("binding") == "own":
    options["binding"] = hashlib.sha256(connection.getpeercert(True)).hexdigest()
lines = connection.makefile("rb")


def send(token):
    connection.sendall((base64.b64encode(token) if isinstance(token, bytes) else token.encode()) + b"\r\n")


def challenge():
    """The next challenge; the end of the program if there is none."""
    line = lines.readline().decode().rstrip("\r\n")
    if not line.startswith("+ "):
        print(line)
        sys.exit(0 if line.startswith("+OK") else 3)
    return base64.b64decode(line[2:])


def is_on(name, default="no"):
    return options.get(name, default) == "yes"


flags = gssapi.RequirementFlag.integrity | gssapi.RequirementFlag.out_of_sequence_detection
if is_on("mutual", "yes"):
    flags |= gssapi.RequirementFlag.mutual_authentication
if is_on("delegate"):
    flags |= gssapi.RequirementFlag.delegate_to_peer
bindings = None
if "binding" in options:
    data = b"tls-server-end-point:" + bytes.fromhex(options["binding"])
    bindings = gssapi.raw.ChannelBindings(application_data=data)
mechanism = gssapi.OID.from_int_seq("1.3.6.1.5.5.2") if is_on("spnego") else gssapi.MechType.kerberos
context = gssapi.SecurityContext(name=gssapi.Name(service, gssapi.NameType.hostbased_service), mech=mechanism, flags=flags,
                                 channel_bindings=bindings, usage="initiate")

lines.readline()  # the greeting
send("AUTH GSSAPI")
challenge()
token = context.step()
while token:
    send(token)
    answer = challenge()
    if context.complete:
        break
    token = context.step(answer)
    if not token:
        assert context.complete
        send(b"")
        answer = challenge()
assert not is_on("spnego"), "SPNEGO has no further step"
offer = context.unwrap(answer).message
assert offer == b"\x01\x00\x00\x00", offer
choice = struct.pack(">I", int(options.get("layer", "1")) << 24) + options.get("authzid", "").encode()
send(context.wrap(choice, is_on("seal")).message)
challenge()
sys.exit("more challenges than there should be")
