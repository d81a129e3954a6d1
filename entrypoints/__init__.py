import sys


def ahx() -> int:
    """The command `ahx`: `main.main`, with a sentence for a Ctrl-C that comes before that is imported."""
    try:
        from entrypoints.main import main

        return main()
    except KeyboardInterrupt:
        print("ahx: error: interrupted", file=sys.stderr)
        return 130  # 128 and the number of the signal, as shells count
