"""Pure conversion: bytes of one syslog record in, one document out.

from datto_siem.converters import Converter, decode

to_ecs = Converter("ecs")        # compile once, call often, share between threads
document = to_ecs(decode(line))  # plain dict
line_out = to_ecs.encode(line)   # finished JSON bytes
"""

from datto_siem.converters.convert import Converter, targets
from datto_siem.converters.decoder import Decoder, decode
from datto_siem.converters.errors import DattoSiemError, SchemaMissing, TableError, TableErrors
from datto_siem.converters.event import Event, Header
from datto_siem.converters.notes import Note

__all__ = [
    "Converter",
    "DattoSiemError",
    "Decoder",
    "Event",
    "Header",
    "Note",
    "SchemaMissing",
    "TableError",
    "TableErrors",
    "decode",
    "targets",
]
