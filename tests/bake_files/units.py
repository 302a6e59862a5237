"""What a mapped definition, and one that buildx prints, say that is built: read in two ways that share no code."""

from bake_files.cases import Image


def images_of(images):
    """Return the images of a mapping by name, in order."""
    return {image.name: _image_of(image) for image in images}


def _image_of(image):
    keys = image.keys
    platforms = (entry if isinstance(entry, str) else entry["name"] for entry in keys.get("platforms", ()))
    repositories = [keys["image"], *keys.get("destinations", ())] if "image" in keys else ()
    return Image(
        platforms=tuple(platforms),
        references=tuple(f"{name}:{tag}" for name in repositories for tag in keys["tags"]),
        args=dict(keys.get("args", {})),
        linked=image.linked,
    )


def printed_units(document):
    """Return (target, platforms, references, arguments) of everything that bake itself would build."""
    return {
        (
            name,
            frozenset(map(_normal, target.get("platforms", ()))),
            frozenset(target.get("tags", ())),
            frozenset((key, value.replace("$${", "${")) for key, value in target.get("args", {}).items()),
        )
        for name, target in document["target"].items()
    }


def mapped_units(images, document):
    """Return the same of the images of a mapping; a tag without `:latest` is written so in the definition."""
    written = {tag for target in document["target"].values() for tag in target.get("tags", ())}
    return {
        (
            name,
            frozenset(image.platforms),
            frozenset(tag if tag in written else tag.removesuffix(":latest") for tag in image.references),
            frozenset(image.args.items()),
        )
        for name, image in images_of(images).items()
    }


def _normal(platform):
    return {"linux/x86_64": "linux/amd64", "linux/arm64/v8": "linux/arm64"}.get(platform, platform)
