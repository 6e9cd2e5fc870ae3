"""One peak for each person at the least total cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hprnet_rt.grouping.compiled import kernel

__all__ = ["assign"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@kernel
def assign(cost: FloatArray) -> IntArray:
    """Return the cheapest assignment of rows to columns, where a row without a column costs 1.

    Args:
        cost: (N, K); a column at a cost of 1 or more is not assigned.

    Returns:
        (N,) column of each row, -1 for none; no column twice.

    Source: Kuhn's Hungarian method with shortest augmenting paths (Jonker and Volgenant, 1987).
    """
    rows, real = cost.shape
    result = np.full(rows, -1, np.int64)
    least = np.empty(rows)
    owner = np.full(real, -1, np.int64)
    waiting = 0
    for i in range(rows):  # if no two rows have the same best column, these columns are the optimum
        best, least[i] = -1, 1.0
        for j in range(real):
            if cost[i, j] < least[i]:
                best, least[i] = j, cost[i, j]
        result[i] = best
        if best >= 0 and owner[best] >= 0:
            waiting += 1
        elif best >= 0:
            owner[best] = i
    if waiting == 0:
        return result

    columns = real + rows  # one more for each row, which stands for no column
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_price[1:] = least
    row_of = np.zeros(columns + 1, np.int64)  # 1-based; column 0 starts each path
    for i in range(rows):
        if result[i] < 0:
            row_of[real + i + 1] = i + 1
        elif owner[result[i]] == i:
            row_of[result[i] + 1] = i + 1
    slack, came_from = np.empty(columns + 1), np.empty(columns + 1, np.int64)
    visited = np.empty(columns + 1, np.bool_)
    for i in range(1, rows + 1):  # those whose best column another row has
        if result[i - 1] < 0 or owner[result[i - 1]] == i - 1:
            continue
        row_of[0] = i
        slack[:], came_from[:], visited[:] = np.inf, 0, False
        column = 0
        while row_of[column] != 0:
            visited[column] = True
            row, nearest, step = row_of[column], 0, np.inf
            for j in range(1, columns + 1):
                if visited[j]:
                    continue
                price = 1.0
                if j <= real and cost[row - 1, j - 1] < 1.0:
                    price = cost[row - 1, j - 1]
                reduced = price - row_price[row] - column_price[j]
                if reduced < slack[j]:
                    slack[j] = reduced
                    came_from[j] = column
                if slack[j] < step:
                    nearest, step = j, slack[j]
            for j in range(columns + 1):
                if visited[j]:
                    row_price[row_of[j]] += step
                    column_price[j] -= step
                else:
                    slack[j] -= step
            column = nearest
        while column != 0:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    result[:] = -1
    for j in range(1, real + 1):
        row = row_of[j]
        if row > 0 and cost[row - 1, j - 1] < 1.0:
            result[row - 1] = j - 1
    return result
