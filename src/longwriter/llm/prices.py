"""placeholder until the helper's module is merged"""

from longwriter.llm.settings import ServerSettings


def priced(settings: ServerSettings) -> ServerSettings:
    return settings
