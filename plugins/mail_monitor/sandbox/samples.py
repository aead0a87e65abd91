"""Small files for attachments, made here: real enough that every viewer opens them."""

import io
import struct
import zipfile
import zlib

KINDS = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/png",  # says so itself: what a name ends in need not be true
    "zip": "application/zip",
    "ics": "text/calendar",
    "csv": "text/csv",
}


def sample_file(name: str) -> tuple[bytes, str]:
    """Bytes and type of a file of this name."""
    ending = name.rpartition(".")[2]
    return _MAKERS[ending](name), KINDS[ending]


def _pdf(name: str) -> bytes:
    """One page with the file's name on it."""
    text = f"BT /F1 20 Tf 60 760 Td ({name}) Tj ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    table = b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, rows)
    end = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + table + end


def _png(name: str) -> bytes:
    """A picture of 240 x 96: stripes whose colour comes from the name."""
    width, height, tone = 240, 96, zlib.crc32(name.encode())
    colours = [bytes(((tone >> shift) + 40 * band) % 200 + 40 for shift in (0, 8, 16)) for band in range(4)]
    rows = b"".join(b"\0" + b"".join(colours[(x + y) // 24 % 4] for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _zip(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("label.txt"), f"This is {name}.\n")
    return packed.getvalue()


def _ics(name: str) -> bytes:
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Mail sandbox//EN", "METHOD:REQUEST", "BEGIN:VEVENT"]
    when = ["DTSTAMP:20261101T090000Z", "DTSTART:20261209T090000Z", "DTEND:20261209T100000Z"]
    what = ["UID:shredding@coldharbour.example", "SUMMARY:Shredding day"]
    lines = [*head, *what, *when, "END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def _csv(name: str) -> bytes:
    return b"place,pieces,weight_kg\r\nA1,4,22.5\r\nA2,2,11\r\nB1,6,31.4\r\n"


_MAKERS = {"pdf": _pdf, "png": _png, "jpg": _png, "zip": _zip, "ics": _ics, "csv": _csv}
