from pathlib import Path

import pytest

from drivers.errors import PortLost
from drivers.io.ports import attached, identify, resolve
from drivers.port import Port, PortNameError, parse_port


class Board:
    """A node's /sys and /dev, laid out as the kernel does."""

    def __init__(self, root: Path) -> None:
        self.sys = root / "sys"
        self.dev = root / "dev"
        (self.sys / "class/tty").mkdir(parents=True)
        self.dev.mkdir()

    def usb(self, device: str, socket: str, interface: str = "1.0", serial: str = "", product: str = "UART") -> None:
        bus = socket.split("-", maxsplit=1)[0]
        adapter = self.sys / f"devices/pci0/usb{bus}" / socket
        home = adapter / f"{socket}:{interface}"
        entry = home / "tty" / device
        if device.startswith("ttyUSB"):
            home /= device
            entry = home / "tty" / device
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(home)
        (adapter / "idVendor").write_text("0403\n")
        (adapter / "idProduct").write_text("6001\n")
        (adapter / "product").write_text(product + "\n")
        if serial:
            (adapter / "serial").write_text(serial + "\n")
        self._known(device, entry)

    def uart(self, device: str, node: str = "", kind: str = "32") -> None:
        home = self.sys / f"devices/platform/soc/{node or device}"
        entry = home / "serial0:0.0" / "tty" / device
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(home)
        (entry / "type").write_text(kind + "\n")
        if node:
            (self.sys / "firmware" / node).mkdir(parents=True)
            (home / "of_node").symlink_to(self.sys / "firmware" / node)
        self._known(device, entry)

    def virtual(self, device: str) -> None:
        entry = self.sys / "devices/virtual/tty" / device
        entry.mkdir(parents=True)
        self._known(device, entry)

    def _known(self, device: str, entry: Path) -> None:
        (self.sys / "class/tty" / device).symlink_to(entry)
        (self.dev / device).touch()

    def find(self, name: str) -> str:
        return str(resolve(parse_port(name), self.sys, self.dev).relative_to(self.dev))

    def reason(self, name: str) -> str:
        with pytest.raises(PortLost) as lost:
            resolve(parse_port(name), self.sys, self.dev)
        return lost.value.reason


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("usb:1-1.2", Port(name="usb:1-1.2", kind="usb", value="1-1.2")),
        (" usb:3-2 ", Port(name="usb:3-2", kind="usb", value="3-2")),
        ("usb:1-1.2:1.3", Port(name="usb:1-1.2:1.3", kind="usb", value="1-1.2", interface="1.3")),
        ("usb-serial:A50285BI", Port(name="usb-serial:A50285BI", kind="usb-serial", value="A50285BI")),
        (
            "usb-serial:34:85:18:AC:1.0",
            Port(name="usb-serial:34:85:18:AC:1.0", kind="usb-serial", value="34:85:18:AC", interface="1.0"),
        ),
        ("uart:gpio14", Port(name="uart:gpio14", kind="uart", value="gpio14")),
        ("path:/dev/ttyUSB0", Port(name="path:/dev/ttyUSB0", kind="path", value="/dev/ttyUSB0")),
        ("/dev/ttyUSB0", Port(name="path:/dev/ttyUSB0", kind="path", value="/dev/ttyUSB0")),
        ("tcp://10.0.0.5:4001", Port(name="tcp://10.0.0.5:4001", kind="tcp", value="10.0.0.5", tcp_port=4001)),
        ("tcp://moxa-1.lan:04001/", Port(name="tcp://moxa-1.lan:4001", kind="tcp", value="moxa-1.lan", tcp_port=4001)),
        ("tcp://[fe80::1]:4001", Port(name="tcp://[fe80::1]:4001", kind="tcp", value="fe80::1", tcp_port=4001)),
        (
            "modbus-tcp://10.0.0.5",
            Port(name="modbus-tcp://10.0.0.5:502", kind="tcp", value="10.0.0.5", tcp_port=502, mbap=True),
        ),
        (
            "modbus-tcp://[fe80::1]:1502/",
            Port(name="modbus-tcp://[fe80::1]:1502", kind="tcp", value="fe80::1", tcp_port=1502, mbap=True),
        ),
    ],
)
def test_a_port_name_is_read(text: str, port: Port) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", "write one of: usb:1-1.2, usb-serial:"),
        ("usb:", "write it like usb:1-1.2"),
        ("usb:ttyUSB0", "write it like usb:1-1.2"),
        ("usb-serial:", "write it like usb-serial:A50285BI"),
        ("uart:/dev/ttyS0", "write it like uart:gpio14"),
        ("path:ttyUSB0", "write it in full, like path:/dev/ttyUSB0"),
        ("path:/dev/", "write it in full"),
        ("ttyUSB0", "write path:/dev/ttyUSB0, or better the USB socket"),
        ("1-1.2", "write usb:1-1.2"),
        ("tcp://10.0.0.5", "write it like tcp://192.168.1.20:4001"),
        ("tcp:10.0.0.5:4001", "write it like tcp://192.168.1.20:4001"),
        ("tcp://10.0.0.5:70000", "write it like tcp://192.168.1.20:4001"),
        ("tcp://10.0.0.5:0", "write it like tcp://192.168.1.20:4001"),
        ("modbus-tcp:10.0.0.5", "write it like modbus-tcp://192.168.1.20"),
        ("modbus-tcp://10.0.0.5:0", "write it like modbus-tcp://192.168.1.20"),
        ("COM3", "write one of:"),
    ],
)
def test_a_name_that_is_none_comes_with_its_cure(text: str, cure: str) -> None:
    with pytest.raises(PortNameError) as error:
        parse_port(text)
    assert cure in error.value.cure
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("/dev/ttyUSB0", "another adapter"),
        ("/dev/serial/by-id/usb-1a86_USB_Serial-if00", "share one serial number"),
        ("/dev/serial/by-path/platform-usb-0:1.2:1.0", ""),
        ("path:/tmp/demo/sds011", ""),
        ("usb:1-1.2", ""),
    ],
)
def test_names_that_may_point_elsewhere_tomorrow_are_warned_of(text: str, warned: str) -> None:
    warning = parse_port(text).warning
    assert warned in warning
    assert bool(warned) == bool(warning)


def test_a_socket_leads_to_whatever_is_plugged_into_it(board: Board) -> None:
    board.usb("ttyUSB1", "1-1.2")
    board.usb("ttyACM0", "1-1.3")
    assert board.find("usb:1-1.2") == "ttyUSB1"
    assert board.find("usb:1-1.3") == "ttyACM0"


def test_an_empty_socket_says_which_sockets_are_in_use(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.4")
    board.usb("ttyUSB1", "2-1")
    assert board.reason("usb:1-1.2") == "not plugged in: no USB socket 1-1.2; plugged: 1-1.4, 2-1"


def test_with_nothing_plugged_in_it_says_nothing_is(board: Board) -> None:
    assert board.reason("usb:1-1.2") == "not plugged in: no USB socket 1-1.2; plugged: nothing"


def test_a_socket_is_not_mistaken_for_one_behind_it(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2.1")
    assert "not plugged in" in board.reason("usb:1-1.2")


def test_several_lines_behind_one_socket_must_be_told_apart(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2", "1.0")
    board.usb("ttyUSB1", "1-1.2", "1.1")
    assert board.reason("usb:1-1.2") == "2 lines match: write one of usb:1-1.2:1.0, usb:1-1.2:1.1"
    assert board.find("usb:1-1.2:1.1") == "ttyUSB1"
    assert board.reason("usb:1-1.2:1.7") == "not plugged in: no interface 1.7 there; plugged: 1.0, 1.1"


def test_a_serial_number_leads_to_its_adapter_in_any_socket(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2")
    board.usb("ttyUSB1", "1-1.4", serial="A50285BI")
    assert board.find("usb-serial:A50285BI") == "ttyUSB1"
    reason = board.reason("usb-serial:XYZ")
    assert reason == "not plugged in: no USB adapter with serial number XYZ; plugged: (none), A50285BI"


def test_two_adapters_of_one_serial_number_are_named_by_their_sockets(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2", serial="0001")
    board.usb("ttyUSB1", "1-1.4", serial="0001")
    assert board.reason("usb-serial:0001") == "2 lines match: write one of usb:1-1.2:1.0, usb:1-1.4:1.0"


def test_the_header_follows_the_primary_uart_before_the_pi_5(board: Board) -> None:
    board.uart("ttyS0", "serial@7e215040")
    (board.dev / "serial0").symlink_to("ttyS0")
    assert board.find("uart:gpio14") == "serial0"


def test_the_header_of_a_pi_5_is_not_its_debug_socket(board: Board) -> None:
    board.uart("ttyAMA10", "serial@7d001000")
    board.uart("ttyAMA0", "serial@30000")
    (board.dev / "serial0").symlink_to("ttyAMA10")
    assert board.find("uart:gpio14") == "ttyAMA0"


@pytest.mark.parametrize("node", ["serial@7e201600", "serial@38000"])
def test_other_pins_are_found_by_the_address_of_their_uart(board: Board, node: str) -> None:
    board.uart("ttyAMA3", node)
    assert board.find("uart:gpio4") == "ttyAMA3"
    assert "enable its overlay" in board.reason("uart:gpio8")


def test_a_header_without_a_serial_port_says_how_to_get_one(board: Board) -> None:
    assert "raspi-config" in board.reason("uart:gpio14")


def test_an_on_board_uart_is_found_by_its_name(board: Board) -> None:
    board.uart("ttyS1")
    board.uart("ttyS2", kind="0")
    board.virtual("tty3")
    board.usb("ttyUSB0", "1-1.2")
    assert board.find("uart:ttyS1") == "ttyS1"
    assert board.reason("uart:ttyS9") == "no UART ttyS9; on this board: ttyS1"


def test_a_uart_that_sysfs_hides_is_still_found(board: Board) -> None:
    (board.dev / "ttySC0").touch()
    assert board.find("uart:ttySC0") == "ttySC0"


def test_a_device_without_its_file_is_not_there_yet(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2")
    (board.dev / "ttyUSB0").unlink()
    assert "there is no " in board.reason("usb:1-1.2")


def test_a_path_is_followed_to_the_device(tmp_path: Path, board: Board) -> None:
    (board.dev / "7").touch()
    link = tmp_path / "sds011"
    link.symlink_to(board.dev / "7")
    assert resolve(parse_port(f"path:{link}")) == board.dev / "7"
    (board.dev / "7").unlink()
    assert board.reason(f"path:{link}") == f"not plugged in: {link} points at {board.dev / '7'}, which is gone"
    link.unlink()
    assert board.reason(f"path:{link}") == f"not plugged in: there is no {link}"
    link.symlink_to(link)
    assert "cannot reach" in board.reason(f"path:{link}")


def test_a_serial_server_has_no_device_file() -> None:
    with pytest.raises(ValueError, match="tcp"):
        resolve(parse_port("tcp://localhost:4001"))


def test_an_adapter_is_known_by_type_and_number_and_not_by_its_place(board: Board) -> None:
    board.usb("ttyUSB0", "1-1.2", serial="A50285BI", product="FT232R USB UART")
    board.usb("ttyUSB1", "1-1.3")
    board.uart("ttyAMA0", "serial@7e201000")
    assert identify(board.dev / "ttyUSB0", board.sys) == "0403:6001 A50285BI FT232R USB UART"
    assert identify(board.dev / "ttyUSB1", board.sys) == "0403:6001 UART"
    assert identify(board.dev / "ttyAMA0", board.sys) == "serial@7e201000"
    assert identify(Path("/dev/pts/3"), board.sys) == ""


def test_only_devices_with_hardware_are_listed(board: Board) -> None:
    board.virtual("tty1")
    board.uart("ttyS0", kind="0")
    board.usb("ttyUSB10", "1-1.3")
    board.usb("ttyUSB9", "1-1.2")
    assert [device.device for device in attached(board.sys)] == ["ttyUSB9", "ttyUSB10"]


def test_a_node_without_sysfs_has_no_devices(tmp_path: Path) -> None:
    assert attached(tmp_path / "nothing") == []
