#!/usr/bin/env python3
"""Makes a wheel of the Python package and the libraries of a build.

    scripts/make_wheel.py [BUILD] [OUTPUT]    default: build, and the folder dist
    python3 -m pip install dist/unroll-*.whl

The wheel needs the C++ runtime, libfmt and libutf8proc of the system that it was built on. Modules
for GPUs and for LAPACK are in it if the build has them.
"""

import base64
import hashlib
import re
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("libunroll_lm.so", "libunroll_cuda.so", "libunroll_lapack.so")


def version():
    return re.search(r'kVersion = "([^"]+)"', (ROOT / "include/unroll/version.h").read_text())[1]


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build")
    output = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "dist")
    tag = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    info = f"unroll-{version()}.dist-info"
    files = {"unroll/__init__.py": (ROOT / "host/python/unroll/__init__.py").read_bytes()}
    for module in MODULES:
        if (build / "lib" / module).exists():
            files[f"unroll/{module}"] = (build / "lib" / module).read_bytes()
    if "unroll/libunroll_lm.so" not in files:
        sys.exit(f"{build}/lib/libunroll_lm.so: no such file, expected a build")
    files[f"{info}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: unroll\nVersion: {version()}\n"
        "Summary: Recurrent language models: what comes next, how probable a text is\n"
        "Requires-Python: >=3.9\n").encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: unroll\nRoot-Is-Purelib: false\nTag: {tag}\n").encode()
    record = "".join(record_line(name, data) for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    output.mkdir(parents=True, exist_ok=True)
    wheel = output / f"unroll-{version()}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    print(wheel)


if __name__ == "__main__":
    main()
