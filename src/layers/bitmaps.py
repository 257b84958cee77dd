"""The fixed codes of LeNet-5's Euclidean output: one 7x12 bitmap a digit.

The paper draws its 96 ASCII bitmaps in figure 3 and does not list them; these ten are drawn anew
in their style, ink +1 and paper -1, so distances between classes are not the paper's to the bit.
"""

_DIGITS = """
.......  .......  .......  .......  .......
..###..  ...#...  ..###..  ..###..  ....##.
.##.##.  ..##...  .##.##.  .##.##.  ...###.
##...##  .###...  ##...##  ##...##  ..####.
##...##  ...#...  .....##  .....##  .##.##.
##...##  ...#...  ....##.  ...###.  ##..##.
##...##  ...#...  ...##..  .....##  #######
##...##  ...#...  ..##...  .....##  ....##.
##...##  ...#...  .##....  ##...##  ....##.
.##.##.  ...#...  ##.....  .##.##.  ....##.
..###..  .#####.  #######  ..###..  ....##.
.......  .......  .......  .......  .......

.......  .......  .......  .......  .......
#######  ..####.  #######  ..###..  ..###..
##.....  .##....  .....##  .##.##.  .##.##.
##.....  ##.....  ....##.  ##...##  ##...##
#####..  ##.....  ....##.  .##.##.  ##...##
##..##.  #####..  ...##..  ..###..  .##.###
.....##  ##..##.  ...##..  .##.##.  ..####.
.....##  ##...##  ..##...  ##...##  .....##
.....##  ##...##  ..##...  ##...##  .....##
##..##.  .##.##.  .##....  .##.##.  ....##.
.####..  ..###..  .##....  ..###..  .####..
.......  .......  .......  .......  .......
"""


def codes() -> list[list[float]]:
    """Returns for each digit 0 to 9 its bitmap, 84 numbers of +-1 in row-major order."""
    upper, lower = (block.split("\n") for block in _DIGITS.strip().split("\n\n"))
    return [
        [1.0 if cell == "#" else -1.0 for row in rows for cell in row.split()[column]]
        for rows in (upper, lower)
        for column in range(5)
    ]
