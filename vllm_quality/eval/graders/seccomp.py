"""A Linux system call filter without privileges: no network, no new processes, no signals to others, no way back.

Written as the kernel's classic BPF through prctl(2), since containers as a rule allow this but no namespaces (unshare).
What it denies fails with EPERM. Files that the user may read stay readable.
"""

import ctypes
import errno
import platform
import struct

_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # prctl's options
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_CLONE_THREAD = 0x00010000
_SETOWN, _SETSIG, _SETOWN_EX = 8, 10, 15  # fcntl's ways to have the kernel send a signal to another process
_X32 = 0x40000000

# machine -> (AUDIT_ARCH, clone, clone3, fcntl, all that is denied), in this order: sockets; processes (fork, vfork, execve, execveat);
# signals and limits of others (kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_*, prlimit64, setrlimit);
# leaving the process group (setsid, setpgid); other memories (ptrace, process_vm_*); io_uring; namespaces, mounts, keys, bpf,
# perf, userfaultfd, modules, kexec, reboot, handles; shared memory and queues that outlive a process.
_MACHINES = {
    "x86_64": (
        0xC000003E, 56, 435, 72,
        (41, 57, 58, 59, 322, 62, 200, 234, 129, 297, 434, 424, 438, 302, 160, 112, 109, 101, 310, 311, 425, 272, 308, 165,
         161, 155, 248, 249, 250, 321, 298, 323, 175, 313, 176, 246, 169, 304, 29, 64, 68, 240),
    ),
    "aarch64": (
        0xC00000B7, 220, 435, 25,
        (198, 221, 281, 129, 130, 131, 138, 240, 434, 424, 438, 261, 164, 157, 154, 117, 270, 271, 425, 97, 268, 40,
         51, 41, 217, 218, 219, 280, 241, 282, 105, 273, 106, 104, 142, 265, 194, 190, 186, 180),
    ),
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def build_filter(machine: str) -> bytes | None:
    """The filter for a machine (`platform.machine()`); None where its system calls are not known here."""
    if machine not in _MACHINES:
        return None
    arch, clone, clone3, fcntl, denied = _MACHINES[machine]
    steps = [
        _step(_LOAD, _ARCH_AT),
        _step(_JUMP_EQUAL, arch, yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_AT_LEAST, _X32, no=1),
        _step(_RETURN, _ERRNO | errno.EPERM),
        _step(_JUMP_EQUAL, clone3, no=1),
        _step(_RETURN, _ERRNO | errno.ENOSYS),  # the C library then takes clone, whose flags can be seen
    ]
    for number in denied:
        steps += [_step(_JUMP_EQUAL, number, no=1), _step(_RETURN, _ERRNO | errno.EPERM)]
    steps += [
        _step(_JUMP_EQUAL, fcntl, no=6),
        _step(_LOAD, _SECOND_ARGUMENT_AT),
        _step(_JUMP_EQUAL, _SETOWN, yes=2),
        _step(_JUMP_EQUAL, _SETOWN_EX, yes=1),
        _step(_JUMP_EQUAL, _SETSIG, no=1),
        _step(_RETURN, _ERRNO | errno.EPERM),
        _step(_RETURN, _ALLOW),
        _step(_JUMP_EQUAL, clone, yes=1),
        _step(_RETURN, _ALLOW),
        _step(_LOAD, _FIRST_ARGUMENT_AT),
        _step(_JUMP_SET, _CLONE_THREAD, no=1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERRNO | errno.EPERM),
    ]
    return b"".join(steps)


def install_filter() -> bool:
    """Put the filter on this process, for good. False where this kernel or machine has none."""
    code = build_filter(platform.machine())
    if platform.system() != "Linux" or code is None:
        return False
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return False
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    nothing = ctypes.c_ulong(0)
    if prctl(_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) != 0:
        return False
    return bool(prctl(_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), nothing, nothing) == 0)
