"""Text analysis without a model: words, lengths, languages, refusals, endings, repetition."""
