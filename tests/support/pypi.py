"""Packages of PyPI that a test compares with, each in a virtual environment of its own."""
import os
import subprocess
import sys


def install(folder, package, version):
    """Whether the environment `folder` has the package now: it is installed once."""
    installed = f"{folder}/installed-{version}"
    if os.path.exists(installed):
        return True
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], stdout=subprocess.DEVNULL, check=True, timeout=120)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1",
                        f"{package}=={version}"], stdout=subprocess.DEVNULL, check=True, timeout=300)
    except (subprocess.SubprocessError, OSError):
        return False
    with open(installed, "w", encoding="utf-8"):
        pass
    return True
