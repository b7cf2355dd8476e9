# SPDX-License-Identifier: BSD-3-Clause
"""STUN and TURN messages, attribute by attribute, in any order, right or wrong.

Written from RFC 8489 (STUN), 8656 (TURN), 6062 (TURN TCP), 7635 (third-party authorization) and
8016 (mobility) alone, so that it can judge implementations. A message is built from a list of
attributes exactly in the order given; nothing is added that the caller did not ask for.
"""

import hashlib
import hmac
import ipaddress
import os
import struct
import zlib

MAGIC = 0x2112A442
MAGIC_OCTETS = struct.pack("!I", MAGIC)
FINGERPRINT_XOR = 0x5354554E

REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3
CLASS_NAMES = ("request", "indication", "success", "error")

METHODS = {
    "BINDING": 0x001,
    "ALLOCATE": 0x003,
    "REFRESH": 0x004,
    "SEND": 0x006,
    "DATA": 0x007,
    "CREATE-PERMISSION": 0x008,
    "CHANNEL-BIND": 0x009,
    "CONNECT": 0x00A,
    "CONNECTION-BIND": 0x00B,
    "CONNECTION-ATTEMPT": 0x00C,
}
METHOD_NAMES = {number: name for name, number in METHODS.items()}

ATTRIBUTES = {
    "MAPPED-ADDRESS": 0x0001,
    "USERNAME": 0x0006,
    "MESSAGE-INTEGRITY": 0x0008,
    "ERROR-CODE": 0x0009,
    "UNKNOWN-ATTRIBUTES": 0x000A,
    "CHANNEL-NUMBER": 0x000C,
    "LIFETIME": 0x000D,
    "XOR-PEER-ADDRESS": 0x0012,
    "DATA": 0x0013,
    "REALM": 0x0014,
    "NONCE": 0x0015,
    "XOR-RELAYED-ADDRESS": 0x0016,
    "REQUESTED-ADDRESS-FAMILY": 0x0017,
    "EVEN-PORT": 0x0018,
    "REQUESTED-TRANSPORT": 0x0019,
    "DONT-FRAGMENT": 0x001A,
    "ACCESS-TOKEN": 0x001B,
    "MESSAGE-INTEGRITY-SHA256": 0x001C,
    "PASSWORD-ALGORITHM": 0x001D,
    "USERHASH": 0x001E,
    "XOR-MAPPED-ADDRESS": 0x0020,
    "RESERVATION-TOKEN": 0x0022,
    "PRIORITY": 0x0024,
    "USE-CANDIDATE": 0x0025,
    "CONNECTION-ID": 0x002A,
    "PASSWORD-ALGORITHMS": 0x8002,
    "ALTERNATE-DOMAIN": 0x8003,
    "SOFTWARE": 0x8022,
    "ALTERNATE-SERVER": 0x8023,
    "FINGERPRINT": 0x8028,
    "ICE-CONTROLLED": 0x8029,
    "THIRD-PARTY-AUTHORIZATION": 0x802E,
    "ORIGIN": 0x802F,
    "RESPONSE-ORIGIN": 0x802B,
    "MOBILITY-TICKET": 0x8030,
}
ATTRIBUTE_NAMES = {number: name for name, number in ATTRIBUTES.items()}

UDP, TCP = 17, 6


class Malformed(ValueError):
    """Octets that are not a STUN message; the text says at which place."""


def transaction_id():
    return os.urandom(12)


# --- values of attributes ----------------------------------------------------------------------


def xor_address(address, txid):
    """XOR-MAPPED-ADDRESS and its kin (RFC 8489 14.2) of an (ip, port) pair."""
    ip = ipaddress.ip_address(address[0])
    family = 1 if ip.version == 4 else 2
    mask = MAGIC_OCTETS + txid
    octets = bytes(a ^ b for a, b in zip(ip.packed, mask))
    return struct.pack("!BBH", 0, family, address[1] ^ (MAGIC >> 16)) + octets


def parse_xor_address(value, txid):
    if len(value) not in (8, 20):
        raise Malformed(f"XOR address of {len(value)} octets")
    family, port = struct.unpack("!xBH", value[:4])
    if (family, len(value)) not in ((1, 8), (2, 20)):
        raise Malformed(f"XOR address of family {family} with {len(value)} octets")
    octets = bytes(a ^ b for a, b in zip(value[4:], MAGIC_OCTETS + txid))
    return str(ipaddress.ip_address(octets)), port ^ (MAGIC >> 16)


def requested_transport(protocol):
    return struct.pack("!B3x", protocol)


def u32(number):
    return struct.pack("!I", number)


def channel_number(number):
    return struct.pack("!HH", number, 0)


def parse_error_code(value):
    if len(value) < 4:
        raise Malformed(f"ERROR-CODE of {len(value)} octets")
    return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")


# --- building ----------------------------------------------------------------------------------


class Attribute:
    """One attribute. length overrides the length field, so that a test can send a false length."""

    def __init__(self, kind, value=b"", length=None):
        self.kind = ATTRIBUTES[kind] if isinstance(kind, str) else kind
        self.value = value.encode() if isinstance(value, str) else bytes(value)
        self.length = length

    def encode(self, _message):
        length = len(self.value) if self.length is None else self.length
        padding = bytes(-len(self.value) % 4)
        return struct.pack("!HH", self.kind, length) + self.value + padding


class Integrity:
    """MESSAGE-INTEGRITY with a key of any length; RFC 7635 uses all octets of its mac_key.

    key_octets cuts the key, to behave like clients that use 16 of 20 octets. digest "sha256"
    makes MESSAGE-INTEGRITY-SHA256. length cuts the MAC, flip damages one bit of it.
    """

    def __init__(self, key, key_octets=None, digest="sha1", length=None, flip=False):
        self.key = key[:key_octets]
        self.digest = digest
        self.size = hashlib.new(digest).digest_size if length is None else length
        self.kind = ATTRIBUTES[
            "MESSAGE-INTEGRITY" if digest == "sha1" else "MESSAGE-INTEGRITY-SHA256"
        ]
        self.flip = flip

    def encode(self, message):
        # RFC 8489 14.5: the length field counts up to the end of this attribute
        covered = with_length(message, len(message) - 20 + 4 + self.size)
        mac = bytearray(hmac.new(self.key, covered, self.digest).digest()[: self.size])
        if self.flip:
            mac[0] ^= 1
        return struct.pack("!HH", self.kind, self.size) + bytes(mac)


class Fingerprint:
    """FINGERPRINT (RFC 8489 14.7); flip damages it."""

    def __init__(self, flip=False):
        self.flip = flip

    def encode(self, message):
        crc = zlib.crc32(with_length(message, len(message) - 20 + 8)) ^ FINGERPRINT_XOR
        return struct.pack("!HHI", ATTRIBUTES["FINGERPRINT"], 4, crc ^ int(self.flip))


def with_length(message, length):
    return message[:2] + struct.pack("!H", length) + message[4:]


def message_type(method, cls):
    """RFC 8489 figure 3: the class bits stand between the method bits."""
    return (
        (method & 0x00F)
        | (method & 0x070) << 1
        | (method & 0xF80) << 2
        | (cls & 1) << 4
        | (cls & 2) << 7
    )


def build(method, attributes, cls=REQUEST, txid=None, length=None):
    """The octets of a message; length overrides the header's length field at the end."""
    number = METHODS[method] if isinstance(method, str) else method
    txid = transaction_id() if txid is None else txid
    message = struct.pack("!HHI", message_type(number, cls), 0, MAGIC) + txid
    for attribute in attributes:
        message = message + attribute.encode(message)
    return with_length(message, len(message) - 20 if length is None else length)


# --- reading -----------------------------------------------------------------------------------


class Message:
    """A decoded message. attributes: list of (type, value, offset of its header)."""

    def __init__(self, raw):
        if len(raw) < 20:
            raise Malformed(f"message of {len(raw)} octets")
        kind, length, magic = struct.unpack("!HHI", raw[:8])
        if kind & 0xC000:
            raise Malformed("the first two bits are not 0")
        if magic != MAGIC:
            raise Malformed(f"magic cookie {magic:#010x}")
        if length % 4 or length != len(raw) - 20:
            raise Malformed(f"length field {length}, {len(raw) - 20} octets follow the header")
        self.raw = raw
        self.txid = raw[8:20]
        self.cls = (kind >> 4 & 1) | (kind >> 7 & 2)
        self.method = kind & 0x00F | kind >> 1 & 0x070 | kind >> 2 & 0xF80
        self.attributes = []
        at = 20
        while at < len(raw):
            number, size = struct.unpack("!HH", raw[at : at + 4])
            if at + 4 + size > len(raw):
                raise Malformed(f"attribute {number:#06x} runs past the end")
            self.attributes.append((number, raw[at + 4 : at + 4 + size], at))
            at += 4 + size + -size % 4

    @property
    def method_name(self):
        return METHOD_NAMES.get(self.method, f"{self.method:#05x}")

    def get(self, name, default=None):
        """The first value of an attribute, in front of MESSAGE-INTEGRITY or not."""
        number = ATTRIBUTES[name]
        return next((v for n, v, _ in self.attributes if n == number), default)

    def all(self, name):
        number = ATTRIBUTES[name]
        return [v for n, v, _ in self.attributes if n == number]

    def text(self, name):
        value = self.get(name)
        return None if value is None else value.decode("utf-8", "replace")

    def names(self):
        return [ATTRIBUTE_NAMES.get(n, f"{n:#06x}") for n, _, _ in self.attributes]

    def number(self, name):
        value = self.get(name)
        if value is None:
            return None
        if len(value) != 4:
            raise Malformed(f"{name} of {len(value)} octets")
        return struct.unpack("!I", value)[0]

    def address(self, name):
        value = self.get(name)
        return None if value is None else parse_xor_address(value, self.txid)

    @property
    def error(self):
        """(code, reason phrase) of an error response, else None."""
        value = self.get("ERROR-CODE")
        return None if value is None else parse_error_code(value)

    def unknown_attributes(self):
        value = self.get("UNKNOWN-ATTRIBUTES") or b""
        return [number for (number,) in struct.iter_unpack("!H", value)]

    def check_integrity(self, key, digest="sha1"):
        """True, False, or None where there is no MESSAGE-INTEGRITY(-SHA256)."""
        name = "MESSAGE-INTEGRITY" if digest == "sha1" else "MESSAGE-INTEGRITY-SHA256"
        for number, value, at in self.attributes:
            if number == ATTRIBUTES[name]:
                covered = with_length(self.raw[:at], at - 20 + 4 + len(value))
                mac = hmac.new(key, covered, digest).digest()
                if digest == "sha1" and len(value) != 20:
                    return False
                if not 16 <= len(value) <= len(mac) or len(value) % 4:
                    return False
                return hmac.compare_digest(mac[: len(value)], value)
        return None

    def check_fingerprint(self):
        """True, False, or None where there is no FINGERPRINT. It must be the last attribute."""
        for number, value, at in self.attributes:
            if number == ATTRIBUTES["FINGERPRINT"]:
                if at + 8 != len(self.raw) or len(value) != 4:
                    return False
                crc = zlib.crc32(with_length(self.raw[:at], at - 20 + 8)) ^ FINGERPRINT_XOR
                return value == struct.pack("!I", crc)
        return None


# --- ChannelData (RFC 8656 12.4) ---------------------------------------------------------------


def channel_data(number, data, padded):
    return struct.pack("!HH", number, len(data)) + data + (bytes(-len(data) % 4) if padded else b"")


def parse_channel_data(raw):
    number, length = struct.unpack("!HH", raw[:4])
    if length > len(raw) - 4:
        raise Malformed(f"ChannelData says {length} octets, has {len(raw) - 4}")
    return number, raw[4 : 4 + length]


def is_channel_data(raw):
    return bool(raw) and 0x40 <= raw[0] <= 0x4F


def frame_length(header):
    """Octets of the frame on a stream transport that begins with these 4 octets."""
    kind, length = struct.unpack("!HH", header)
    if kind & 0xC000 == 0:
        return 20 + length
    if kind & 0xF000 == 0x4000:
        return 4 + length + -length % 4
    raise Malformed(f"neither STUN nor ChannelData: {header.hex()}")
