import os
from pathlib import Path

import pytest

from drivers.io.holders import Holder, Roots, under
from drivers.io.survey import Plug, survey


class Node:
    """A node's /sys, /dev, /proc, /etc and /run, laid out as Linux does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.roots: Roots = under(root)
        (self.roots.sys / "class/tty").mkdir(parents=True)
        for folder in (self.roots.dev, self.roots.proc, self.roots.etc, self.roots.run):
            folder.mkdir()

    def usb(self, device: str, socket: str, *, interface: str = "1.0", serial: str = "", **facts: str) -> Path:
        adapter = self.roots.sys / "devices/pci0/usb1" / socket
        home = adapter / f"{socket}:{interface}" / device
        self._tty(device, home / "tty" / device, home)
        known = {"idVendor": "1a86", "idProduct": "7523", "manufacturer": "QinHeng", "product": "USB Serial"} | facts
        for name, text in (known | ({"serial": serial} if serial else {})).items():
            (adapter / name).write_text(text + "\n")
        return adapter

    def uart(self, device: str, node: str) -> None:
        home = self.roots.sys / f"devices/platform/soc/{node}"
        self._tty(device, home / "serial0:0.0/tty" / device, home)
        firmware = self.roots.sys / "firmware" / node
        firmware.mkdir(parents=True)
        (home / "of_node").symlink_to(firmware)

    def process(self, pid: int, name: str, words: str = "", tty: int = 0, opens: str = "") -> None:
        home = self.roots.proc / str(pid)
        (home / "fd").mkdir(parents=True)
        (home / "comm").write_text(name + "\n")
        (home / "cmdline").write_text(words.replace(" ", "\0"))
        (home / "stat").write_text(f"{pid} ({name} 1) S 1 {pid} {pid} {tty} -1 0")
        if opens:
            (home / "fd/3").symlink_to(self.roots.dev / opens)

    def file(self, path: str, text: str = "") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def see(self, *, may: bool = True) -> dict[str, Plug]:
        return {plug.device.device: plug for plug in survey(self.roots, may=lambda _: may).plugs}

    def holders(self, device: str) -> tuple[Holder, ...]:
        return self.see()[device].holders

    def _tty(self, device: str, entry: Path, home: Path) -> None:
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(home)
        number = 64 + len(list(self.roots.dev.iterdir()))
        (entry / "dev").write_text(f"188:{number}\n")
        (self.roots.sys / "class/tty" / device).symlink_to(entry)
        (self.roots.dev / device).touch()

    def number(self, device: str) -> int:
        major, minor = (self.roots.sys / "class/tty" / device / "dev").read_text().split(":")
        return int(major) << 8 | int(minor)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_an_adapter_has_its_socket_first_then_all_its_other_names(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2", serial="A50285BI")
    by_id = node.roots.dev / "serial/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-FTDI-if00").symlink_to("../../ttyUSB0")
    (node.roots.dev / "mast").symlink_to("ttyUSB0")
    plug = node.see()["ttyUSB0"]
    dev = node.roots.dev
    assert plug.names == (
        "usb:1-1.2",
        "usb-serial:A50285BI",
        f"path:{dev}/ttyUSB0",
        f"path:{by_id}/usb-FTDI-if00",
        f"path:{dev}/mast",
    )
    assert (plug.port, plug.free, plug.advice) == ("usb:1-1.2", True, ())
    assert (plug.device.ids, plug.device.maker, plug.device.product) == ("1a86:7523", "QinHeng", "USB Serial")


@pytest.mark.parametrize("serial", ["", "0001", "0000"])
def test_identical_adapters_are_told_apart_by_socket_only_and_the_advice_is_a_label(node: Node, serial: str) -> None:
    node.usb("ttyUSB0", "1-1.2", serial=serial)
    node.usb("ttyUSB1", "1-1.3", serial=serial)
    first, second = node.see().values()
    assert (first.port, second.port) == ("usb:1-1.2", "usb:1-1.3")
    assert not any(name.startswith("usb-serial:") for name in (*first.names, *second.names))
    assert "1-1.3" in first.advice[0]
    assert "label" in first.advice[0]
    assert "1-1.2" in second.advice[0]


def test_a_serial_number_that_tells_nothing_apart_is_not_offered(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2", serial="0001")
    node.usb("ttyUSB1", "1-1.3", serial="SAME", product="one")
    node.usb("ttyUSB2", "1-1.4", serial="SAME", product="other")
    assert not any(name.startswith("usb-serial:") for plug in node.see().values() for name in plug.names)


def test_lines_of_one_adapter_are_named_by_their_interface_and_are_no_twins(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2", interface="1.0", serial="FT4")
    node.usb("ttyUSB1", "1-1.2", interface="1.1", serial="FT4")
    first, second = node.see().values()
    assert (first.port, second.port) == ("usb:1-1.2:1.0", "usb:1-1.2:1.1")
    assert "usb-serial:FT4:1.1" in second.names
    assert first.advice == ()


def test_uarts_of_the_board_and_of_hats_are_shown_by_their_best_name(node: Node) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    node.uart("ttyAMA2", "serial@7e201400")
    node.uart("ttySC0", "sc16is752@0")
    (node.roots.dev / "serial0").symlink_to("ttyAMA0")
    ports = {name: plug.port for name, plug in node.see().items()}
    assert ports == {"ttySC0": "uart:ttySC0", "ttyAMA0": "uart:gpio14", "ttyAMA2": "uart:gpio0"}
    assert "uart:ttyAMA0" in node.see()["ttyAMA0"].names


def test_on_a_pi_5_serial0_is_the_debug_socket_and_not_the_header(node: Node) -> None:
    node.uart("ttyAMA0", "serial@30000")
    node.uart("ttyAMA10", "serial@7d001000")
    (node.roots.dev / "serial0").symlink_to("ttyAMA10")
    assert {name: plug.port for name, plug in node.see().items()} == {
        "ttyAMA0": "uart:gpio14",
        "ttyAMA10": "uart:ttyAMA10",
    }


@pytest.mark.parametrize("where", ["etc/systemd/system", "run/systemd/generator"])
def test_a_login_prompt_that_systemd_starts_is_named_with_the_command_that_ends_it(node: Node, where: str) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    node.file(f"{where}/getty.target.wants/serial-getty@ttyAMA0.service")
    (holder,) = node.holders("ttyAMA0")
    assert holder.kind == "login"
    assert holder.cure == "sudo systemctl mask --now serial-getty@ttyAMA0.service"
    assert not node.see()["ttyAMA0"].free


def test_a_masked_login_prompt_holds_nothing(node: Node) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    unit = "serial-getty@ttyAMA0.service"
    node.file(f"run/systemd/generator/getty.target.wants/{unit}")
    (node.roots.etc / "systemd/system").mkdir(parents=True)
    (node.roots.etc / "systemd/system" / unit).symlink_to("/dev/null")
    assert node.holders("ttyAMA0") == ()


def test_a_running_login_is_one_holder_with_its_shell_left_out(node: Node) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    node.process(400, "login", tty=node.number("ttyAMA0"))
    node.process(401, "bash", tty=node.number("ttyAMA0"), opens="ttyAMA0")
    (holder,) = node.holders("ttyAMA0")
    assert (holder.kind, holder.pid) == ("login", 400)


@pytest.mark.parametrize("said", ["console=serial0,115200 console=tty1", "console=ttyAMA0", "active"])
def test_the_kernels_console_is_named(node: Node, said: str) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    (node.roots.dev / "serial0").symlink_to("ttyAMA0")
    if said == "active":
        node.file("sys/class/tty/console/active", "tty0 ttyAMA0\n")
    else:
        node.file("proc/cmdline", said)
    (holder,) = node.holders("ttyAMA0")
    assert holder.kind == "console"
    assert "raspi-config" in holder.cure


def test_bluetooth_is_found_on_a_uart_that_still_has_a_device_file(node: Node) -> None:
    node.uart("ttyAMA0", "serial@7e201000")
    radio = (node.roots.sys / "class/tty/ttyAMA0").resolve() / "hci0"
    radio.mkdir()
    (node.roots.sys / "class/bluetooth").mkdir()
    (node.roots.sys / "class/bluetooth/hci0").symlink_to(radio)
    (holder,) = node.holders("ttyAMA0")
    assert holder.kind == "bluetooth"
    assert "disable-bt" in holder.cure


def test_a_uart_that_bluetooth_owns_inside_the_kernel_is_shown_without_a_port(node: Node) -> None:
    home = node.roots.sys / "devices/platform/soc/fe201000.serial"
    child = home / "serial0/serial0-0"
    child.mkdir(parents=True)
    (node.roots.sys / "firmware/serial@7e201000").mkdir(parents=True)
    (home / "of_node").symlink_to(node.roots.sys / "firmware/serial@7e201000")
    (node.roots.sys / "drivers/hci_uart_bcm").mkdir(parents=True)
    (child / "driver").symlink_to(node.roots.sys / "drivers/hci_uart_bcm")
    (node.roots.sys / "bus/serial/devices").mkdir(parents=True)
    (node.roots.sys / "bus/serial/devices/serial0-0").symlink_to(child)
    plug = node.see()["serial0-0"]
    assert (plug.port, plug.device.node, plug.holders[0].kind) == ("", "serial@7e201000", "bluetooth")


def test_modem_manager_is_named_only_where_it_runs_and_may_probe(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2")
    number = (node.roots.sys / "class/tty/ttyUSB0/dev").read_text().strip()
    node.file(f"run/udev/data/c{number}", "E:ID_MM_CANDIDATE=1\n")
    assert node.holders("ttyUSB0") == ()
    node.process(500, "ModemManager")
    (holder,) = node.holders("ttyUSB0")
    assert (holder.kind, holder.pid) == ("modemmanager", 500)
    assert "ID_MM_PORT_IGNORE" in holder.cure
    node.file(f"run/udev/data/c{number}", "E:ID_MM_CANDIDATE=1\nE:ID_MM_PORT_IGNORE=1\n")
    assert node.holders("ttyUSB0") == ()


@pytest.mark.parametrize(
    ("name", "cure"), [("minicom", "sudo kill 812"), ("brltty", "apt remove brltty"), ("gpsd", "gpsd.socket")]
)
def test_a_program_that_has_the_device_open_is_named_with_pid_and_cure(node: Node, name: str, cure: str) -> None:
    node.usb("ttyUSB0", "1-1.2")
    node.usb("ttyUSB1", "1-1.3")
    node.process(812, name, opens="ttyUSB0")
    (holder,) = node.holders("ttyUSB0")
    assert (holder.name, holder.pid) == (f"{name} (pid 812)", 812)
    assert cure in holder.cure
    assert node.holders("ttyUSB1") == ()


def test_a_program_of_another_user_is_found_by_its_lock(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2")
    node.process(77, "python3", "python3 -sP -m agent run")
    known = (node.roots.dev / "ttyUSB0").stat()
    where = f"{os.major(known.st_dev):02x}:{os.minor(known.st_dev):02x}:{known.st_ino}"
    node.file("proc/locks", f"1: POSIX  ADVISORY  READ 9 00:1:1 0 EOF\n2: FLOCK  ADVISORY  WRITE 77 {where} 0 EOF\n")
    plug = node.see()["ttyUSB0"]
    assert (plug.holders[0].kind, plug.holders[0].cure) == ("gardu", "")
    assert plug.free


def test_a_port_that_may_not_be_opened_says_which_group_is_missing(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2")
    plug = node.see(may=False)["ttyUSB0"]
    assert "usermod -aG" in plug.denied
    assert not plug.free


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"idVendor": "05e0"}, "scanner"),
        ({"product": "USB BarCode Scanner"}, "scanner"),
        ({"idVendor": "04b8", "product": "TM-T20"}, "printer"),
        ({"product": "POS58 Printer"}, "printer"),
        ({"product": "FT232R"}, ""),
    ],
)
def test_printers_and_scanners_are_known_by_what_they_say_of_themselves(
    node: Node, facts: dict[str, str], kind: str
) -> None:
    node.usb("ttyACM0", "1-1.2", **facts)
    assert node.see()["ttyACM0"].kind == kind


def test_an_adapter_with_a_printer_interface_beside_its_line_is_a_printer(node: Node) -> None:
    adapter = node.usb("ttyACM0", "1-1.2", product="USB Device")
    (adapter / "1-1.2:1.2").mkdir()
    (adapter / "1-1.2:1.2/bInterfaceClass").write_text("07\n")
    assert node.see()["ttyACM0"].kind == "printer"


def test_processes_that_vanish_or_are_no_processes_do_not_stop_the_look(node: Node) -> None:
    node.usb("ttyUSB0", "1-1.2")
    (node.roots.proc / "12").mkdir()
    node.file("proc/locks", "rubbish\n1: FLOCK ADVISORY WRITE x y:z 0 EOF\n1: FLOCK ADVISORY WRITE x 0:z:1 0 EOF\n")
    assert node.see()["ttyUSB0"].free


def test_a_machine_without_serial_ports_has_none(tmp_path: Path) -> None:
    assert survey(under(tmp_path)).plugs == ()
