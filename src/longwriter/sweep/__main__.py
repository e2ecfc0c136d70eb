"""Entry point of `python -m longwriter.sweep -m KEY=VALUE,VALUE …`."""

from longwriter.sweep.app import main

if __name__ == "__main__":
    main()
