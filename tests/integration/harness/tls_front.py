"""A TLS front for a plain server: tls_front.py PORT DIRECTORY

Makes an authority and a certificate for `route53.invalid`, leaves the authority's certificate in
DIRECTORY/ca.pem, and passes on to 127.0.0.1:PORT what comes in over TLS. Ends with its stdin.
"""

import datetime
import os
import pathlib
import socket
import ssl
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "route53.invalid"


def certificate(name, key, issuer, issuer_key, extension):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(extension, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def write_certificates(directory):
    """Writes ca.pem and server.pem (certificate and key)."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    basic = x509.BasicConstraints(ca=True, path_length=0)
    ca = certificate(ca_name, ca_key, ca_name, ca_key, basic)
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    server = certificate(name, key, ca_name, ca_key, names)
    pem = serialization.Encoding.PEM
    plain_key = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(server.public_bytes(pem) + plain_key)


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for one in (source, sink):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(connection, context, port):
    try:
        client = context.wrap_socket(connection, server_side=True)
    except (ssl.SSLError, OSError):
        return
    behind = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=copy, args=(client, behind), daemon=True).start()
    copy(behind, client)


def accept(listener, context, port):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, port), daemon=True).start()


def main():
    port, directory = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    write_certificates(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, context, port), daemon=True).start()
    print(f"listening https://{HOST}:{listener.getsockname()[1]}", flush=True)
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


main()
