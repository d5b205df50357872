"""The add-on as files, and as one package that Splunk installs.

Owns what is the same for every mapping: the app's own settings, its manifest, its archive. The
archive's bytes depend on the files alone: no clock, no user, no order of a directory.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING

from datto_siem.plugins.generators import _spl
from datto_siem.plugins.generators._shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generators._splunk_props import Addon

APP = "TA_datto_networking"
"""Folder, package id and app id: Splunk wants them equal."""
_LABEL = "Datto Networking Add-on"
_DESCRIPTION = "Search-time fields, event types and tags for Datto access points and Secure Edge"
_FIXED = {
    "metadata/default.meta": "default.meta",
    "LICENSE.txt": "LICENSE.txt",
    "static/appIcon.png": "appIcon.png",
    "static/appIcon_2x.png": "appIcon_2x.png",
}


def files(addon: Addon, version: str, stamp: str, readme: str, samples: str) -> dict[str, bytes]:
    """Every file of the app, by its path in the app's folder."""
    confs = {
        "props": addon.props,
        "transforms": addon.transforms,
        "eventtypes": addon.eventtypes,
        "tags": addon.tags,
        "fields": {"line_event": {"INDEXED_VALUE": "false"}},  # no word of the record
        "app": _app(version),
    }
    return {
        **{
            f"default/{name}.conf": _conf(stanzas, stamp).encode()
            for name, stanzas in confs.items()
        },
        **{f"lookups/{name}": content for name, content in addon.lookups.items()},
        **{path: shipped("splunk", name) for path, name in _FIXED.items()},
        "app.manifest": (json.dumps(_manifest(version), indent=2) + "\n").encode(),
        "README.md": readme.encode(),
        "samples/datto.samples": samples.encode(),
    }


def _conf(stanzas: Mapping[str, Mapping[str, str]], stamp: str) -> str:
    parts = [_spl.stanza(name, settings) for name, settings in stanzas.items()]
    return f"# {stamp}\n\n" + "\n".join(parts)


def _app(version: str) -> dict[str, dict[str, str]]:
    return {
        "install": {"is_configured": "false", "build": "1"},
        "ui": {"is_visible": "false", "label": _LABEL},
        "launcher": {"author": "datto-siem", "description": _DESCRIPTION, "version": version},
        "package": {"id": APP, "check_for_updates": "false"},
        "id": {"name": APP, "version": version},
    }


def _manifest(version: str) -> dict[str, object]:
    return {
        "schemaVersion": "2.0.0",
        "info": {
            "title": _LABEL,
            "id": {"group": None, "name": APP, "version": version},
            "author": [{"name": "datto-siem", "email": None, "company": None}],
            "releaseDate": None,
            "description": _DESCRIPTION,
            "classification": {
                "intendedAudience": None,
                "categories": [],
                "developmentStatus": None,
            },
            "commonInformationModels": None,
            "license": {"name": "Apache-2.0", "text": "./LICENSE.txt", "uri": None},
            "privacyPolicy": {"name": None, "text": None, "uri": None},
            "releaseNotes": {"name": None, "text": "./README.md", "uri": None},
        },
        "dependencies": None,
        "tasks": None,
        "inputGroups": None,
        "incompatibleApps": None,
        "platformRequirements": {"splunk": {"Enterprise": "*"}},
        "supportedDeployments": ["_standalone", "_distributed", "_search_head_clustering"],
        "targetWorkloads": ["_search_heads", "_indexers", "_forwarders"],
    }


def archive(found: Mapping[str, bytes]) -> bytes:
    """The package: the app's folder, packed."""
    paths = {f"{APP}/{path}" for path in found}
    folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folders | paths):
            entry = tarfile.TarInfo(path)
            if path in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                content = found[path.removeprefix(f"{APP}/")]
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
    return _gzip(buffer.getvalue())


def _gzip(content: bytes) -> bytes:
    """Gzip without name and time; the standard library's header differs between versions."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(content) + packer.flush()
    tail = struct.pack("<LL", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + tail
