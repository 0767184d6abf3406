"""The few calls of libbpf that the probe needs: load, attach, replace the table, read the counters."""
import ctypes as c
import os
import socket
import struct

OUTCOMES = ("answered", "not_for_us", "unusual", "unknown", "expired", "no_room", "broken")
QNAME_MAX, RECORDS_MAX, TTLS_MAX = 64, 320, 8
KEY = struct.Struct("64s2sB5x")
ANSWER = struct.Struct(f"=QQ2s6sHH{TTLS_MAX}H{RECORDS_MAX}s4x")
MAP_HASH, BPF_ANY = 1, 0
XDP_GENERIC = 1 << 1
TC_INGRESS = 1


class TcHook(c.Structure):
    _fields_ = [("size", c.c_size_t), ("ifindex", c.c_int), ("point", c.c_uint32), ("parent", c.c_uint32)]


class TcOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("fd", c.c_int), ("flags", c.c_uint32), ("id", c.c_uint32),
                ("handle", c.c_uint32), ("priority", c.c_uint32)]


def _library():
    lib = c.CDLL("libbpf.so.1", use_errno=True)
    pointer, text, number = c.c_void_p, c.c_char_p, c.c_int
    for name, result, arguments in (
        ("bpf_object__open", pointer, (text,)),
        ("bpf_object__load", number, (pointer,)),
        ("bpf_object__close", None, (pointer,)),
        ("bpf_object__find_map_by_name", pointer, (pointer, text)),
        ("bpf_object__find_program_by_name", pointer, (pointer, text)),
        ("bpf_map__fd", number, (pointer,)),
        ("bpf_program__fd", number, (pointer,)),
        ("bpf_map__set_initial_value", number, (pointer, pointer, c.c_size_t)),
        ("bpf_map_create", number, (number, text, c.c_uint32, c.c_uint32, c.c_uint32, pointer)),
        ("bpf_map_update_elem", number, (number, pointer, pointer, c.c_uint64)),
        ("bpf_map_lookup_elem", number, (number, pointer, pointer)),
        ("bpf_xdp_attach", number, (number, number, c.c_uint32, pointer)),
        ("bpf_xdp_detach", number, (number, c.c_uint32, pointer)),
        ("bpf_tc_hook_create", number, (c.POINTER(TcHook),)),
        ("bpf_tc_hook_destroy", number, (c.POINTER(TcHook),)),
        ("bpf_tc_attach", number, (c.POINTER(TcHook), c.POINTER(TcOptions))),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


LIB = _library()


def _checked(result, what):
    if result is None or (isinstance(result, int) and result < 0):
        error = -result if isinstance(result, int) and result < -1 else c.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


class Program:
    """The loaded programs of one hook ("xdp" or "tc") and their maps, for one service address."""

    def __init__(self, hook, path, address, port):
        self.hook = hook
        self.object = _checked(LIB.bpf_object__open(path.encode()), f"open {path}")
        service = socket.inet_aton(address) + struct.pack("!H2x", port)
        _checked(LIB.bpf_map__set_initial_value(self._map(".rodata"), service, len(service)), "set the service")
        _checked(LIB.bpf_object__load(self.object), f"load {path}")
        self.current = LIB.bpf_map__fd(self._map("current"))
        self.counters = LIB.bpf_map__fd(self._map("outcomes"))
        self.replace({})

    def _map(self, name):
        return _checked(LIB.bpf_object__find_map_by_name(self.object, name.encode()), f"find map {name}")

    def replace(self, answers):
        """Puts a new table {key: value} in place of the old one.

        When this returns, no program reads the old one any more: the kernel waits for them."""
        table = _checked(LIB.bpf_map_create(MAP_HASH, b"answers", KEY.size, ANSWER.size, max(1, len(answers)), None),
                         "create a table")
        try:
            for key, value in answers.items():
                _checked(LIB.bpf_map_update_elem(table, key, value, BPF_ANY), "fill a table")
            _checked(LIB.bpf_map_update_elem(self.current, bytes(4), struct.pack("=I", table), BPF_ANY), "swap tables")
        finally:
            os.close(table)

    def outcomes(self):
        """How often each thing happened since the program was loaded, over all CPUs."""
        with open("/sys/devices/system/cpu/possible") as file:
            cpus = int(file.read().strip().rsplit("-", 1)[-1].rsplit(",", 1)[-1]) + 1
        cells, counts = c.create_string_buffer(8 * cpus), {}
        for index, name in enumerate(OUTCOMES):
            _checked(LIB.bpf_map_lookup_elem(self.counters, struct.pack("=I", index), cells), "read a counter")
            counts[name] = sum(struct.unpack(f"={cpus}Q", cells.raw))
        return counts

    def attach(self, device, program="answer_query"):
        """Attaches one of the programs to a device of this thread's network namespace."""
        fd = LIB.bpf_program__fd(_checked(LIB.bpf_object__find_program_by_name(self.object, program.encode()), program))
        index = socket.if_nametoindex(device)
        if self.hook == "xdp":
            _checked(LIB.bpf_xdp_attach(index, fd, XDP_GENERIC, None), "attach")
            return
        hook = TcHook(c.sizeof(TcHook), index, TC_INGRESS, 0)
        _checked(LIB.bpf_tc_hook_create(hook), "create clsact")
        options = TcOptions(c.sizeof(TcOptions), fd, 0, 0, 0, 0)
        _checked(LIB.bpf_tc_attach(hook, options), "attach")

    def detach(self, device):
        """Takes off what attach() put on."""
        index = socket.if_nametoindex(device)
        if self.hook == "xdp":
            _checked(LIB.bpf_xdp_detach(index, XDP_GENERIC, None), "detach")
        else:
            # Ingress and egress together: the whole qdisc goes.
            hook = TcHook(c.sizeof(TcHook), index, TC_INGRESS | 2, 0)
            _checked(LIB.bpf_tc_hook_destroy(hook), "destroy clsact")

    def close(self):
        LIB.bpf_object__close(self.object)
