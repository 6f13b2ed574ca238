"""Probes, written as slow loops from the papers' definitions."""

import math


def position(predicted, norms, grid, threshold):
    """Per group: share of right places and mean distance; predicted and norms (pictures, N)."""
    found = {}
    for group, member in (
        ("normal", lambda n: n < threshold),
        ("outlier", lambda n: n >= threshold),
    ):
        right, distance, count = 0, 0.0, 0
        for places, row in zip(predicted, norms, strict=True):
            for true, (place, norm) in enumerate(zip(places, row, strict=True)):
                if member(norm):
                    count += 1
                    right += place == true
                    down = place // grid[1] - true // grid[1]
                    across = place % grid[1] - true % grid[1]
                    distance += math.sqrt(down * down + across * across)
        if count:
            found[f"top1_{group}"] = right / count
            found[f"distance_{group}"] = distance / count
    return found


def position_loss(scores, true, grid):
    """Cross-entropy plus half of the mean squared error of the expected row and column."""
    largest = max(scores)
    weights = [math.exp(each - largest) for each in scores]
    chances = [each / sum(weights) for each in weights]
    row = sum(chance * (place // grid[1]) for place, chance in enumerate(chances))
    column = sum(chance * (place % grid[1]) for place, chance in enumerate(chances))
    squared = ((row - true // grid[1]) ** 2 + (column - true % grid[1]) ** 2) / 2
    return -math.log(chances[true]) + 0.5 * squared


def patch_values(image, top, left, size):
    """Values of one patch of an image (3, height, width): by channel, row, column."""
    return [
        float(image[channel][top + row][left + column])
        for channel in range(3)
        for row in range(size[0])
        for column in range(size[1])
    ]


def squared_error(predicted, true):
    """Summed over a patch."""
    return sum((a - b) ** 2 for a, b in zip(predicted, true, strict=True))


def majority(places):
    """Share of tokens at the most common place."""
    return max(places.count(place) for place in places) / len(places)
