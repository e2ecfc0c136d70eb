"""What can be told from a text without a model: words, lengths, languages, refusals, endings, repetition."""
