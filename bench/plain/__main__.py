"""Prints the lines of code of each example and of its plain alternative."""

from bench.plain import lines

if __name__ == "__main__":
    for name in lines.EXAMPLES:
        print(f"{name:24}{lines.example(name):5}{lines.plain(name) or '':>6}")
