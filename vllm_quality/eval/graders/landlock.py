"""A Linux file system fence without privileges (Landlock): what may be read, and the one folder that may be written.

Source: linux/landlock.h and Documentation/userspace-api/landlock.rst, ABI 1 (Linux 5.13).
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_NO_NEW_PRIVS = 38
_PATH_BENEATH = 1
_ALL, _OF_FILES = 0x1FFF, 0x7  # every right of ABI 1; those that a file (no folder) can have
_READ = 0x4 | 0x8  # files, and the names in folders
_WRITE = _ALL & ~0x1  # all but running programs
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom")


def fence(writable: str) -> bool:
    """Leave this process Python's own files to read and one folder to write, for good. False where there is no Landlock."""
    if platform.system() != "Linux":
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
    except (OSError, AttributeError):
        return False
    handled = struct.pack("=Q", _ALL)
    ruleset = call(_CREATE, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    readable = {*_SYSTEM, sys.prefix, sys.base_prefix, *filter(None, sys.path)}
    done = _allow(call, ruleset, readable, _READ) and _allow(call, ruleset, [writable], _WRITE)
    nothing = ctypes.c_ulong(0)
    done = done and libc.prctl(_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) == 0
    done = done and call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0
    os.close(ruleset)
    return done


def _allow(call: "ctypes._NamedFuncPointer", ruleset: int, places: Iterable[str], rights: int) -> bool:
    for place in places:
        try:
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there needs no leave
        granted = rights if os.path.isdir(place) else rights & _OF_FILES  # noqa: PTH112  # follows links, as the kernel does
        rule = struct.pack("=Qi", granted, opened)
        failed = call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
        os.close(opened)
        if failed:
            return False
    return True
