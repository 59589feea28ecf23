"""A Raspberry Pi 5 as its kernel shows it, in a folder: /proc, /sys, /dev and the firmware's program."""

from dataclasses import replace
from pathlib import Path

from drivers.host.settings import HostSettings
from drivers.kiosk.settings import KioskSettings

HEALTHY = 0x0
WEAK_NOW = 0x1
THROTTLED_NOW = 0x4
WEAK_EVER = 0x10000
THROTTLED_EVER = 0x40000


class Pi5:
    """One box; each method changes what the next look finds.

    Attributes:
        folder: Where everything is.
        host: Settings of section [host] that look there.
        kiosk: Settings of section [kiosk] that look there; name what is wanted with `dataclasses.replace`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sys, proc = folder / "sys", folder / "proc"
        bus = str(folder / "run/dbus/system_bus_socket")
        self.host = HostSettings(
            root=str(folder),
            vcgencmd=str(folder / "vcgencmd"),
            chronyc=str(folder / "chronyc"),
            run_state=str(folder / "run"),
            proc=str(proc),
            sys=str(sys),
            bus=bus,
        )
        self.kiosk = KioskSettings(dev=str(folder / "dev"), proc=str(proc), sys=str(sys), bus=bus)
        self.hwmon("rpi_volt", in0_lcrit_alarm="0")
        self.write("sys/dev/block/.keep", "")
        self.write("sys/block/mmcblk0/mmcblk0p2/partition", "2")
        (sys / "dev/block/179:2").symlink_to("../../block/mmcblk0/mmcblk0p2")
        self.firmware(HEALTHY)
        self.write_root()
        self.ext4(errors=0)
        self.emmc(life="0x01 0x01", pre_eol="0x01")
        self.out_of_memory(kills=0)
        self.write("proc/diskstats", " 179 0 mmcblk0 9 1 2 3 4 5 6 7 0 1000 9 0 0 0 0\n")

    def write(self, path: str, text: str) -> Path:
        """Write a file below the folder."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def every_metric(self) -> HostSettings:
        """Return settings that also ask what the core set leaves out."""
        return replace(self.host, every_metric=True)

    def hwmon(self, name: str, number: int = 0, **files: str) -> None:
        """Add a device of hwmon."""
        for file, text in {"name": name, **files}.items():
            self.write(f"sys/class/hwmon/hwmon{number}/{file}", f"{text}\n")

    def weak_supply(self, *, now: bool) -> None:
        """Let the kernel say whether the supply is too weak now."""
        self.hwmon("rpi_volt", in0_lcrit_alarm=f"{now:d}")

    def firmware(self, bits: int, volt: float = 5.15) -> None:
        """Let vcgencmd answer with these bits, and this voltage at the input."""
        script = f"""#!/bin/sh
case $1 in
get_throttled) echo throttled=0x{bits:x} ;;
pmic_read_adc) echo "     EXT5V_V volt(24)={volt:.8f}V" ;;
*) exit 1 ;;
esac
"""
        self.write("vcgencmd", script).chmod(0o755)

    def write_root(self, *, read_only: bool = False) -> None:
        """Mount the root file system, which is on the eMMC; its device is called /dev/root as on many images."""
        option = "ro" if read_only else "rw"
        place = str(self.folder).replace(" ", "\\040")
        self.write(
            "proc/self/mountinfo",
            f"21 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
            f"28 1 179:2 / {place} {option},noatime shared:1 - ext4 /dev/root {option},errors=remount-ro\n",
        )

    def ext4(self, *, errors: int, written_kib: int = 2_000_000) -> None:
        """Let ext4 count errors and KiB written."""
        files = {"errors_count": errors, "last_error_time": 0, "lifetime_write_kbytes": written_kib}
        for name, value in files.items():
            self.write(f"sys/fs/ext4/mmcblk0p2/{name}", f"{value}\n")

    def emmc(self, *, life: str, pre_eol: str) -> None:
        """Let the eMMC say how much it is worn; empty texts make it an SD card, which says nothing."""
        for name, text in {"life_time": life, "pre_eol_info": pre_eol}.items():
            path = self.write(f"sys/block/mmcblk0/device/{name}", f"{text}\n")
            if not text:
                path.unlink()

    def out_of_memory(self, *, kills: int) -> None:
        """Let the kernel have killed so many programs."""
        self.write("proc/vmstat", f"nr_free_pages 100\noom_kill {kills}\nnuma_hit 1\n")
