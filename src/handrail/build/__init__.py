"""Source → bundle: the project's wheel or tree, its locked wheels and a manifest, content-addressed."""

from handrail.build.bundle import Bundle, Member, build_bundle
from handrail.build.platforms import check_wheels

__all__ = ["Bundle", "Member", "build_bundle", "check_wheels"]
