# Sourced by the scripts beside it: leaves $python set to an interpreter in which jaxnet, everything
# it can use and the test tools are installed, in the virtual environment that is active or else in
# .venv beside the code. The second time nothing is left to do.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

if [ -n "${VIRTUAL_ENV:-}" ]; then
    python="$VIRTUAL_ENV/bin/python"
else
    python=".venv/bin/python"
    if [ ! -x "$python" ]; then
        stock=""
        for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
            if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                stock="$candidate"
                break
            fi
        done
        if [ -z "$stock" ]; then
            echo "jaxnet needs Python 3.11 or newer; none was found on PATH" >&2
            exit 1
        fi
        echo "making a virtual environment in .venv" >&2
        "$stock" -m venv .venv || exit 1
    fi
fi

# What is installed depends on pyproject.toml alone, and on where the code lies.
stamp="$("$python" -c 'import sys; print(sys.prefix)')/.jaxnet-installed"
wanted="$(pwd) $(cksum <pyproject.toml)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing jaxnet and what it needs" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" || exit 1
    "$python" -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group test || exit 1
    echo "$wanted" >"$stamp"
fi
