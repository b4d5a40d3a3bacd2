"""`python -m promptgraft`, and `accelerate launch -m promptgraft`."""

from promptgraft.cli import main

if __name__ == "__main__":
    main()
