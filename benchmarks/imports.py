"""What `import suffice` costs above `import numpy`, in CPU seconds, in the same run.

python benchmarks/imports.py
"""

import json
import subprocess
import sys

RUNS = 9
HEAVY = ("torch", "transformers", "sklearn", "scipy", "pandas", "pyarrow", "httpx")
CODE = """
import json, sys, time
{imports}
print(json.dumps([time.process_time(), [name for name in {heavy!r} if name in sys.modules]]))
"""


def cpu_s(imports: str) -> tuple[float, list[str]]:
    """Smallest CPU time of a few fresh processes, and the heavy libraries that were loaded."""
    best, loaded = float("inf"), []
    for _ in range(RUNS):
        code = CODE.format(imports=imports, heavy=HEAVY)
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, loaded = json.loads(out.stdout)
        best = min(best, seconds)
    return best, loaded


def main() -> None:
    numpy_s, _ = cpu_s("import numpy")
    everything = "from suffice import " + ", ".join(
        ("Answer", "AsyncClient", "Client", "Config", "Engine", "Outcomes", "Query")
    )
    print(f"{'import':<42} {'CPU s':>7} {'above numpy':>12}  heavy libraries")
    for title, code in (
        ("numpy", "import numpy"),
        ("numpy, suffice", "import numpy, suffice"),
        ("numpy, suffice and its main names", f"import numpy\n{everything}"),
        ("numpy, suffice.gateway.app", "import numpy, suffice.gateway.app"),
    ):
        seconds, loaded = cpu_s(code)
        print(f"{title:<42} {seconds:7.3f} {seconds - numpy_s:12.3f}  {', '.join(loaded) or 'none'}")


if __name__ == "__main__":
    main()
