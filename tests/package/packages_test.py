#!/usr/bin/env python3
"""The packages of cpack: what they hold, that the program runs from them, and that they leave nothing.

    packages_test.py BUILD WORK

The .tar.gz is unpacked. The .deb is installed and removed in a folder that stands for a system, where
dpkg and root's rights are there, and else only unpacked."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

FILES = [
    "bin/unroll",
    "include/unroll/unroll.h",
    "include/unroll/c_api.h",
    "lib/libunroll.a",
    "lib/libunroll_lm.so",
    "lib/cmake/unroll/unrollConfig.cmake",
    "share/man/man1/unroll.1",
    "share/bash-completion/completions/unroll",
    "share/zsh/site-functions/_unroll",
    "share/fish/vendor_completions.d/unroll.fish",
    "share/doc/unroll/copyright",
]


def run(*command, **options):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def check(root):
    """That the files are below `root`, and that the program there works."""
    for name in FILES:
        if not (root / name).is_file():
            sys.exit(f"{root}: {name} is missing")
    program = root / "bin/unroll"
    version = run(program, "--version")
    if not version.startswith("unroll "):
        sys.exit(f"{program} --version: got {version!r}")
    work = root.parent / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "text").write_text("the dog ate the cake .\nthe man saw the dog .\n" * 50)
    small = "--nhid 8 --emsize 8 --nlayers 1 --batch-size 2 --bptt 5 --epochs 1".split()
    run(program, "train", "--device", "cpu", "--data", "text", "--save", "run", "--cache-dir", "cache",
        *small, cwd=work)
    run(program, "predict", "--device", "cpu", "--checkpoint", "run", "--text", "the", cwd=work)
    # Modules are found where the package has them.
    modules = {file.name for file in (root / "lib").glob("libunroll_*.so")}
    doctor = run(program, "doctor")
    for name, what in ("libunroll_lapack.so", "LAPACK"), ("libunroll_editline.so", "editing"):
        row = next(line for line in doctor.splitlines() if line.startswith(what))
        if (name in modules) != (" there: " in row):
            sys.exit(f"doctor says of {name}: {row}")
    return version.strip()


def installed(root):
    """All files below `root` but dpkg's own."""
    return {
        str(file.relative_to(root))
        for file in root.rglob("*")
        if not file.is_dir() and "var/lib/dpkg" not in str(file)
    }


def check_deb(package, work):
    root = work / "system"
    if os.geteuid() != 0:
        run("dpkg-deb", "-x", package, root)
        return check(root / "usr") + ", unpacked"
    database = root / "var/lib/dpkg"
    for folder in ("info", "updates", "triggers"):
        (database / folder).mkdir(parents=True)
    for file in ("status", "available"):
        (database / file).touch()
    # The system's own libraries serve the program, so they need not be installed in the folder.
    dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--log=/dev/null"]
    run(*dpkg, "-i", package)
    version = check(root / "usr")
    shutil.rmtree(root / "work", ignore_errors=True)
    run(*dpkg, "-r", "unroll")
    if left := installed(root):
        sys.exit(f"{package.name} leaves {sorted(left)}")
    return version + ", installed and removed"


def main():
    build, work = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    if not shutil.which("cpack"):
        print("SKIPPED: cpack is missing")
        sys.exit(77)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run("cpack", "-B", work / "made", cwd=build)
    packages = [file for file in (work / "made").iterdir() if file.is_file()]
    if not any(file.name.endswith(".tar.gz") for file in packages):
        sys.exit(f"cpack made {packages}, expected a .tar.gz")
    for package in sorted(packages):
        size = f"{package.stat().st_size / 1e6:.1f} MB"
        if package.suffix == ".deb":
            depends = run("dpkg-deb", "-f", package, "Depends").strip()
            if "libc6" not in depends or "libfmt" not in depends:
                sys.exit(f"{package.name} depends on {depends!r}, expected libc6, libfmt and more")
            print(f"{package.name}: {size}, {check_deb(package, work)}; depends on {depends}")
        else:
            with tarfile.open(package) as archive:
                archive.extractall(work / "unpacked")
            (folder,) = (work / "unpacked").iterdir()
            print(f"{package.name}: {size}, {check(folder)}, unpacked")
    shutil.rmtree(work)


main()
