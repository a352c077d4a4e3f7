"""Data of stage 1 as a LightningDataModule."""

from core.data.clips import ClipStore, Split
from core.train.data import ClipDataModule

from recon.views import ViewDataset, collate_views


class ReconDataModule(ClipDataModule):
    """Views of one expression from several cameras, from a clip store."""

    def __init__(
        self,
        root: str,
        people: int = 0,
        photos: str | None = None,
        frames: int = 12,
        size: int = 512,
        batch_size: int = 1,
        pairs_per_clip: int = 256,
        num_workers: int = 0,
        seed: int = 0,
        views: int = 1,
        photo_share: float = 0.3,
        mirror: bool = True,
    ) -> None:
        """Options.

        Args:
            root: folder of the store.
            people: when ``root`` holds no store, make one of so many training people, and a seventh of that for validation; 0: an error.
            photos: folder of portrait photographs to lift the people from; None: procedural people.
            frames: frames per made person.
            size: side of the images in pixels.
            batch_size: people per rank and step.
            pairs_per_clip: how many different draws of one person make an epoch.
            num_workers: loader processes.
            seed: of the made people and of the draws.
            views: target views per source; its planes are computed once.
            photo_share: how often the source is the photograph itself.
            mirror: flip every other training sample left to right.
        """
        super().__init__(root, people, photos, frames, size, batch_size, pairs_per_clip, num_workers, seed)
        self.views, self.photo_share, self.mirror = views, photo_share, mirror

    collate = staticmethod(collate_views)

    def dataset(self, split: Split, pairs_per_clip: int) -> ViewDataset:
        """Training draws, or fixed unmirrored single views of the photographs for validation."""
        store = ClipStore(self.root)
        if split == "train":
            return ViewDataset(store, split, self.size, self.views, pairs_per_clip, self.seed, self.photo_share, self.mirror)
        return ViewDataset(store, split, self.size, 1, pairs_per_clip, self.seed, photo_share=1.0, mirror=False)
