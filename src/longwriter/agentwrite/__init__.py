"""AgentWrite: plan a text, then write it paragraph by paragraph."""
