"""Find the word that was probably meant."""

from closest._distance import distance

__all__ = ["closest", "distance"]


def closest(word: str, candidates: list[str]) -> str:
    """Return the candidate with the fewest edits from `word`; of several the first."""
    return min(candidates, key=lambda candidate: distance(word, candidate))
