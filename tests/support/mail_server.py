"""A real SMTP server for the tests.

    python mail_server.py DIRECTORY [--starttls | --tls] [--user USER --password PASSWORD] [OPTION...]

Listens on a free port of 127.0.0.1 and prints it.  Each mail that is accepted becomes DIRECTORY/<n>.eml, with the
envelope in headers in front (X-Envelope-From, X-Envelope-To, X-Encrypted, X-Size, X-User).

--starttls   offer STARTTLS, and refuse a mail that came without
--tls        TLS from the start
--user       want a login
--later N    answer 451 to the first N mails
--refuse     answer 550 to every recipient
--refuse-one ADDRESS  answer 550 to this one, and to others with the same option
--later-one ADDRESS  answer 450 to this one, the first time
--size N     take mails of so many bytes at most, and say so
--too-large  answer 552 to every mail
--full       answer 552 to every recipient, whose mailbox is full
--late SECONDS  take mails, and say so only after a while
--hold WORD  do not answer to mails for addresses that begin so, until there is DIRECTORY/released
--die N      close the first N connections in the middle of DATA
--utf8       know SMTPUTF8
--stall      say yes to STARTTLS, and nothing from then on
--silent     accept connections and say nothing
"""

import argparse
import asyncio
import ssl
import tempfile
from pathlib import Path

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Conversation(SMTP):
    """The library's, which can be told to fail where it does not."""

    async def smtp_DATA(self, arg):
        if self.event_handler.die:
            self.event_handler.die -= 1
            await self.push("354 go ahead")
            await self._reader.read(100)
            self.transport.abort()
            return
        await super().smtp_DATA(arg)

    async def smtp_QUIT(self, arg):
        with (Path(self.event_handler.options.directory) / "goodbyes").open("a") as goodbyes:
            goodbyes.write("QUIT\n")
        await super().smtp_QUIT(arg)

    async def smtp_AUTH(self, arg):
        (Path(self.event_handler.options.directory) / "login").touch()
        return await super().smtp_AUTH(arg)

    async def smtp_STARTTLS(self, arg):
        if self.event_handler.options.stall:
            await self.push("220 go ahead")
            await asyncio.sleep(3600)
        await super().smtp_STARTTLS(arg)


class Post:
    def __init__(self, options):
        self.options = options
        self.later = options.later
        self.later_one = options.later_one
        self.die = options.die
        self.connections = 0
        self.accepted = 0

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.options.full:
            return "552 5.2.2 mailbox full"
        if address == self.later_one:
            self.later_one = None
            return "450 4.2.0 greylisted"
        if self.options.refuse or address in self.options.refuse_one:
            return "550 5.1.1 nobody of this name here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.options.too_large:
            return "552 5.3.4 message too big"
        if self.later:
            self.later -= 1
            return "451 4.3.0 come back later"
        hold = self.options.hold
        while hold and envelope.rcpt_tos[0].startswith(hold):
            if (Path(self.options.directory) / "released").exists():
                break
            await asyncio.sleep(0.05)
        self.accepted += 1
        sizes = [
            option.partition("=")[2]
            for option in envelope.mail_options
            if option.upper().startswith("SIZE=")
        ]
        head = [
            f"X-Envelope-From: {envelope.mail_from}",
            f"X-Envelope-To: {', '.join(envelope.rcpt_tos)}",
            f"X-Encrypted: {'yes' if server.transport.get_extra_info('sslcontext') else 'no'}",
            f"X-Size: {sizes[0] if sizes else ''}",
            f"X-Connection: {self.connections}",
            f"X-User: {session.auth_data.login.decode() if session.auth_data else ''}",
        ]
        directory = Path(self.options.directory)
        whole = directory / f"{self.accepted}.part"
        whole.write_bytes("\r\n".join(head).encode() + b"\r\n" + envelope.original_content)
        # Who looks into the directory sees whole mails only.
        whole.rename(directory / f"{self.accepted}.eml")
        await asyncio.sleep(self.options.late)
        return "250 OK"


def certificate():
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The library reads certificates from files only.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "all.pem"
        cert = authority.issue_cert("localhost", "127.0.0.1")
        path.write_bytes(
            cert.private_key_pem.bytes() + b"".join(blob.bytes() for blob in cert.cert_chain_pems)
        )
        context.load_cert_chain(path)
    return context


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--later", type=int, default=0)
    parser.add_argument("--refuse", action="store_true")
    parser.add_argument("--refuse-one", action="append", default=[])
    parser.add_argument("--later-one")
    parser.add_argument("--size", type=int, default=64 << 20)
    parser.add_argument("--too-large", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--late", type=float, default=0)
    parser.add_argument("--hold")
    parser.add_argument("--die", type=int, default=0)
    parser.add_argument("--utf8", action="store_true")
    parser.add_argument("--stall", action="store_true")
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    post = Post(options)
    context = certificate() if options.tls or options.starttls or options.stall else None

    def authenticate(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and data == LoginPassword(
            options.user.encode(), options.password.encode()
        )
        return AuthResult(success=right, handled=False, auth_data=data if right else None)

    def conversation():
        if options.silent:
            return asyncio.Protocol()
        post.connections += 1
        return Conversation(
            post,
            tls_context=None if options.tls else context,
            require_starttls=options.starttls,
            authenticator=authenticate if options.user else None,
            auth_required=bool(options.user),
            auth_require_tls=False,
            ident="test",
            hostname="localhost",
            enable_SMTPUTF8=options.utf8,
            data_size_limit=options.size,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        conversation, "127.0.0.1", 0, ssl=context if options.tls else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
