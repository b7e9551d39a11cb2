"""python -m tests.check.planted: the gradient doctor's score."""

from .score import main

if __name__ == "__main__":
    main()
