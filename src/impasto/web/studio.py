"""Who is here, what they brought, and what they asked for.

The page and the API call nothing else. Every picture and every job has an id that cannot be guessed, and a visitor
finds only their own; a visitor's files lie in a folder of their own, which goes when the visitor has gone.
"""

from __future__ import annotations

import difflib
import io
import math
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL import Image
from torch import Tensor

from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images.areas import EVERYWHERE, REGION_COLORS, masked_area, protected_area
from impasto.images.gallery import (
    NETWORK,
    SAMPLES,
    NetworkFacts,
    network_facts,
    network_names,
    network_path,
    sample_path,
    style_names,
    style_path,
)
from impasto.images.reading import Picture, fit, read_image, resize
from impasto.images.writing import to_pil, write_image
from impasto.methods.qualities import method_for
from impasto.network.streamed import transform
from impasto.network.transform import shares_of
from impasto.network.transform_file import About, is_network, load_transform
from impasto.painting import Painter, Progress
from impasto.settings import QUALITIES, Settings
from impasto.web.films import FilmWork, film_container, read_film
from impasto.web.form import FILM_QUALITIES, missing_for, settings_from
from impasto.web.jobs import Jobs, State
from impasto.web.kinds import PictureJob, PictureWork
from impasto.web.pace import Pace
from impasto.web.paused import PausedPictures
from impasto.web.taking import Conversions
from impasto.web.work import (
    LOOK_SIZE,
    Guides,
    LookWork,
    PaintingWork,
    Paints,
    PictureFile,
    SheetCell,
    SheetWork,
    TextureWork,
    instantly,
    named,
)

FOLDER, LOCK = "impasto-web-", "lock"
HEAD = 512  # bytes of a file that tell what it is
EXAMPLE = Path(__file__).parent / "static" / "presets" / "example.jpg"
MOST_OFFERED = 50  # networks of an operator: each is tried at the start
SHOWN = 256  # px, of the longer side of what a network that is brought along makes of it
PREVIEW = 1400  # px, of the longer side of pictures as the page shows them
SHEET_STRENGTHS, SHEET_SCALES = (20, 40, 60, 80), (0.5, 1.0, 1.5, 2.0)  # of a sheet of one painting
SHEET_SHAPE = 1.2  # width by height of a sheet of several, about that of the page's canvas
EMPTY_STAY = 300.0  # seconds, of a visitor who brought and asked for nothing


@dataclass(frozen=True)
class Limits:
    """What one visitor may ask for.

    Attributes:
        upload_bytes, upload_pixels: of one picture that is brought along.
        upload_memory: bytes that reading one may take.
        uploads: how many of them are kept; the oldest go first, unless a picture still needs them.
        disk: bytes that the uploads of all visitors together may take.
        largest: longer side of a painted picture, in pixels,
        film_largest: and of a painted film.
        film_seconds: of a film that is brought along.
        network_width: channels of a network that is brought along; it cannot be stopped while it paints.
        unfinished: pictures that wait or are painted at once.
        unfinished_by_address: the same, of all visitors from one address; who sends no cookie is held by this.
        newcomers_by_address: visitors from one address who are remembered before they brought or asked for anything.
        pages_by_address: pages that are open and pictures that are watched at once, of all visitors from one address.
        finished: pictures that are kept to look back at; the oldest go first.
        waiting: unfinished pictures of all visitors together.
        stay: seconds after which somebody who left is forgotten,
        stay_paused: and who left a stopped picture.
        grace: seconds without an open page after which a visitor's pictures are stopped.
    """

    upload_bytes: int = 100 * 2**20
    upload_pixels: int = 100_000_000
    upload_memory: int = 10**9
    uploads: int = 24
    disk: int = 20 * 2**30
    largest: int = 4096
    film_largest: int = 768
    film_seconds: float = 20.0
    network_width: int = 32
    unfinished: int = 4
    pages_by_address: int = 100
    unfinished_by_address: int = 12
    newcomers_by_address: int = 1000
    finished: int = 24
    waiting: int = 200
    stay: float = 3600.0
    stay_paused: float = 7 * 24 * 3600.0
    grace: float = 30.0


@dataclass(eq=False)
class Visitor:
    """Somebody with a browser, or one request to the API.

    Attributes:
        folder: of what they brought and were painted; made when there is something to keep.
        address: from where they asked last.
    """

    id: str
    folder: Path
    address: str = ""
    uploads: dict[str, PictureFile] = field(default_factory=dict)
    pages: int = 0  # open now
    seen: float = field(default_factory=time.monotonic)

    def here(self) -> None:
        self.seen = time.monotonic()


class BusyError(ImpastoError):
    """The limits of the studio are reached; waiting helps."""


class GoneError(ImpastoError):
    """There is no such picture or job, or none any more."""


class Studio:
    """All that a server holds; one per server.

    Args:
        painter: who paints.
        device: where to compute, as in `Settings.device`.
        workers: as for `Jobs`.
        paused: folder of stopped pictures, which outlive the server; None for one that does not.
        pace: how long pictures take here.
        networks: folder of networks that have learnt a style, offered to every visitor; None for none.

    Raises:
        ImpastoError: what lies in that folder cannot be offered.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        painter: Paints | None = None,
        device: str = "auto",
        workers: Sequence[Callable[[], None]] = (lambda: None,),
        paused: Path | None = None,
        pace: Pace | None = None,
        networks: Path | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.painter: Paints = painter or Painter()
        self.device = device
        self.arriving = 0  # bytes of uploads under way
        remove_abandoned_folders()
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER))  # readable by this user only
        self._alive = FileLock(self.folder / LOCK)  # the system lets go of it if this process is killed
        self._alive.acquire()
        self._visitors: dict[str, Visitor] = {}
        self._newcomers: dict[str, deque[str]] = {}  # ids by address, the oldest first
        self._listening: Counter[str] = Counter()  # streams of events that are open, by address
        self._kept = 0  # bytes of all uploads; counted when they change, since it is asked for with every block
        self._previews: dict[Any, Progress] = {}  # their keys hold names that cannot be guessed
        self._lock = threading.RLock()
        self._paused = PausedPictures(paused or self.folder / "paused")
        self.pace = pace or Pace()
        self.jobs: Jobs[PictureWork] = Jobs(workers, self._paused, self._took)
        taken = self.folder / "taken"
        taken.mkdir()
        self.conversions = Conversions(taken)
        self._offered: dict[str, tuple[PictureFile, NetworkFacts]] = {}
        if networks is not None:
            try:
                self._offer(networks)
            except BaseException:
                self.close()
                raise
        self._take_in()

    def _take_in(self) -> None:
        """Stopped pictures that an earlier server left, with their visitors."""

        def folder_of(id: str) -> Path:
            known = self._visitors.get(id) or Visitor(id, self.folder / secrets.token_hex(12))
            return self._folder_of(known)

        for found in self._paused.found(self.painter, folder_of, time.time() - self.limits.stay_paused):
            self._visitors[found.visitor].uploads.update({file.id: file for file in found.files})
            self.jobs.put_back(found.job)
        self._count()

    # Visitors

    def visitor(self, id: str | None = None, address: str = "") -> Visitor:
        """Whoever has this id; somebody new where it is not known."""
        with self._lock:
            if id is None or id not in self._visitors:
                id = secrets.token_urlsafe(18)
                self._visitors[id] = Visitor(id, self.folder / secrets.token_hex(12))
                self._welcome(id, address)
            visitor = self._visitors[id]
            visitor.address = address
            visitor.here()
            return visitor

    def _welcome(self, id: str, address: str) -> None:
        """Remember a newcomer, and forget the oldest of the same address beyond the limit, unless something is kept."""
        newcomers = self._newcomers.setdefault(address, deque())
        newcomers.append(id)
        while len(newcomers) > self.limits.newcomers_by_address:
            oldest = self._visitors.get(newcomers.popleft())
            if oldest and not (oldest.pages or oldest.uploads or oldest.folder.exists() or self.jobs.of(oldest.id)):
                del self._visitors[oldest.id]

    def _folder_of(self, visitor: Visitor) -> Path:
        """A visitor's folder, which there is again for one who was forgotten during a request."""
        with self._lock:
            self._visitors.setdefault(visitor.id, visitor)
            visitor.folder.mkdir(exist_ok=True)
            visitor.here()
            return visitor.folder

    def knows(self, id: str | None) -> bool:
        return id in self._visitors

    def listening_from(self, address: str) -> int:
        """How many streams of events are open for an address: pages, and pictures that are watched."""
        return self._listening[address]

    @contextmanager
    def listening(self, address: str) -> Iterator[None]:
        """While the block runs, somebody at this address is told what happens.

        Raises:
            BusyError: too many there are.
        """
        with self._lock:
            if self._listening[address] >= self.limits.pages_by_address:
                raise BusyError("too many pages are open from your address; close one")
            self._listening[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._listening[address] -= 1
                self._listening += Counter()  # forgets those of whom there are none

    @contextmanager
    def present(self, visitor: Visitor) -> Iterator[None]:
        """While the block runs, the visitor has the page open.

        Raises:
            BusyError: too many are.
        """
        with self.listening(visitor.address):
            visitor.pages += 1
            try:
                yield
            finally:
                visitor.pages -= 1
                visitor.here()

    def sweep(self) -> None:
        """Stop the pictures of those who closed the page, and forget those who left long ago."""
        self.conversions.forget_removed()
        now = time.monotonic()
        theirs: dict[str, list[PictureJob]] = defaultdict(list)
        for job in self.jobs.all():
            theirs[job.visitor].append(job)
        for visitor in list(self._visitors.values()):
            jobs = theirs.get(visitor.id, [])
            away = now - max([visitor.seen, *(job.touched for job in jobs)])
            if visitor.pages:
                continue
            if away > self.limits.grace:
                for job in jobs:
                    if job.attended and not job.over:
                        self.jobs.stop(job)
            stay = self.limits.stay if jobs or visitor.uploads else min(EMPTY_STAY, self.limits.stay)
            if any(job.paused for job in jobs):
                stay = self.limits.stay_paused
            if away > stay and all(job.over for job in jobs):
                self._forget(visitor)
        with self._lock:
            self._newcomers = {
                address: ids for address, ids in self._newcomers.items() if any(id in self._visitors for id in ids)
            }

    def _forget(self, visitor: Visitor) -> None:
        with self._lock:
            if time.monotonic() - visitor.seen < min(EMPTY_STAY, self.limits.stay):
                return  # came back while old visits were swept
            for job in self.jobs.of(visitor.id):
                self.jobs.remove(job)
            del self._visitors[visitor.id]
            self._count()
            shutil.rmtree(visitor.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop all work and remove all files, but stopped pictures."""
        self.jobs.close()
        self._paused.close()
        self._alive.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Pictures

    def keep_upload(self, visitor: Visitor, name: str, blocks: Iterable[bytes]) -> PictureFile:
        """Keep a picture, a film or a network that a visitor brought, if it is one.

        Raises:
            ImpastoError: it is none, or damaged, too large, too long or too small; nothing is kept.
        """
        self.check_room()
        name = _plain(name)
        id = secrets.token_urlsafe(18)
        path = self._folder_of(visitor) / f"{id}{Path(name).suffix[:10]}"
        try:
            with path.open("xb") as file:
                file.writelines(blocks)
            with path.open("rb") as file:
                head = file.read(HEAD)
            if is_network(head):
                kept = self._keep_network(path, id, name)
            elif film_container(head) is None:
                picture = self._read_upload(path, name)
                to_pil(picture.image).save(_preview_path(path), "JPEG", quality=88)
                kept = PictureFile(id, name, path, picture.full_height, picture.full_width, path.stat().st_size)
            else:
                kept = self._keep_film(path, id, name)
        except BaseException:
            with suppress(OSError):  # Windows removes no file that is open
                path.unlink(missing_ok=True)
            raise
        with self._lock:
            visitor.uploads[id] = kept
            self._count()
        return kept

    def _keep_network(self, path: Path, id: str, name: str) -> PictureFile:
        """A network that a visitor brought, and beside it what it makes of a picture that ships."""
        kept, _ = self._tried(path, id, name, path.with_suffix(".png"))
        network = path.rename(path.with_suffix(NETWORK))
        return replace(kept, bytes=network.stat().st_size, network=network)

    def _offer(self, folder: Path) -> None:
        """The networks of a folder, each a style by its file's name, within the limits of what visitors bring."""
        if not folder.is_dir():
            raise ImpastoError(f"--networks {folder} is no folder; give one with the files of networks")
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == NETWORK and path.is_file())
        if not 0 < len(files) <= MOST_OFFERED:
            raise ImpastoError(
                f"--networks {folder} holds {len(files)} networks (*{NETWORK}); 1 to {MOST_OFFERED} can be offered"
            )
        pictures = self.folder / "networks"
        pictures.mkdir()
        for path in files:
            id = re.sub(r"[^\w.-]+", "-", _plain(path.stem))  # a part of addresses
            if {id} & {*style_names(), *network_names(), *SAMPLES, *self._offered}:
                raise ImpastoError(f"--networks: {path} has the name of something else here; give the file another")
            kept, about = self._tried(path, id, path.name, pictures / f"{len(self._offered)}.png")
            facts = NetworkFacts(_plain(path.stem), about.made, "", about.strength, about.names)
            self._offered[id] = kept, facts

    def networks(self) -> dict[str, NetworkFacts]:
        """Styles that are painted at once: those that ship, and those of this studio's operator."""
        ship = {name: network_facts(name) for name in network_names()}
        return {**ship, **{id: facts for id, (_, facts) in self._offered.items()}}

    def _tried(self, path: Path, id: str, name: str, painted: Path) -> tuple[PictureFile, About]:
        """A network that may be used here, with what it makes of a picture that ships, written into a file."""
        self._check_bytes(path, name, "teach a narrower one")
        try:
            known, about = load_transform(path)
            if known.shape.width > self.limits.network_width:
                raise ImpastoError(
                    f"{name} is {known.shape.width} channels wide; this studio paints by networks of up to "
                    f"{self.limits.network_width}"
                )
        except ImpastoError as error:
            raise type(error)(str(error).replace(str(path), name)) from None
        image = transform(known, read_image(EXAMPLE, SHOWN).image, shares_of([1.0] * len(about.names)))
        write_image(painted, image)
        height, width = image.shape[-2:]
        return PictureFile(id, name, painted, height, width, network=path, learnt=about.strength), about

    def _check_bytes(self, path: Path, name: str, advice: str) -> None:
        if path.stat().st_size > self.limits.upload_bytes:
            raise ImageError(f"{name} is larger than {self.limits.upload_bytes >> 20} MiB; {advice}")

    def _keep_film(self, path: Path, id: str, name: str) -> PictureFile:
        """A film, and beside it its first frame as a picture."""
        self._check_bytes(path, name, "cut it first")
        facts = read_film(path, name, self.limits.film_seconds)
        first = path.with_suffix(".first.png")
        to_pil(facts.first.image).save(first)
        height, width = facts.first.image.shape[-2:]
        return PictureFile(id, name, first, height, width, path.stat().st_size, path, facts.seconds)

    def _read_upload(self, path: Path, name: str) -> Picture:
        """A picture as it came, at the size of a preview."""
        limits = self.limits
        try:
            picture = read_image(
                path,
                PREVIEW,
                max_pixels=limits.upload_pixels,
                max_bytes=limits.upload_bytes,
                max_memory=limits.upload_memory,
            )
            if max(picture.full_height, picture.full_width) < PREVIEW:
                picture = read_image(path)  # not enlarged
            return picture
        except ImpastoError as error:
            raise type(error)(str(error).replace(str(path), name)) from None  # a visitor does not see paths

    def forget_old_uploads(self, visitor: Visitor) -> None:
        """Keep the last pictures that a visitor brought, and those that a picture still needs.

        To be called when a request has been answered: what came with one request is not forgotten within it.
        """
        with self._lock:
            needed = {file.id for job in self.jobs.of(visitor.id) if not job.ended_for_good for file in job.work.files}
            for old in [each for each in list(visitor.uploads)[: -self.limits.uploads] if each not in needed]:
                gone = visitor.uploads.pop(old)
                for path in (gone.path, _preview_path(gone.path), gone.film, gone.network):
                    if path is not None:
                        with suppress(OSError):  # on Windows, while somebody is being sent it; it goes with the folder
                            path.unlink(missing_ok=True)
            self._count()

    def _count(self) -> None:
        self._kept = sum(file.bytes for visitor in self._visitors.values() for file in visitor.uploads.values())

    def check_room(self) -> None:
        """Refuse more uploads than the disk has room for, those under way among them.

        Raises:
            BusyError: there is no room.
        """
        if self._kept + self.arriving > self.limits.disk:
            raise BusyError("too many pictures are kept here for now; come back in an hour")

    def photograph(self, visitor: Visitor, id: str) -> PictureFile:
        """What a visitor brought, or a sample photograph.

        Raises:
            GoneError: it is neither.
        """
        if id in SAMPLES:
            return _shipped(id, sample_path(id))
        return self.brought(visitor, id, SAMPLES)

    def painting(self, visitor: Visitor, id: str) -> PictureFile:
        """What a visitor brought, a painting or a network that ships, or a network of the operator's.

        Raises:
            GoneError: it is none of them.
        """
        if id in style_names():
            return _shipped(id, style_path(id))
        if id in network_names():
            facts = network_facts(id)
            learnt = _shipped(facts.paintings[0], style_path(facts.paintings[0]))
            return replace(learnt, id=id, name=id, network=network_path(id), learnt=facts.strength)
        if id in self._offered:
            return self._offered[id][0]
        return self.brought(visitor, id, [*style_names(), *self.networks()])

    def style_mask(self, visitor: Visitor, id: str) -> PictureFile | str:
        """The name of a mask's colour, or a mask that a visitor brought."""
        return id if id in (*REGION_COLORS, EVERYWHERE) else self.brought(visitor, id)

    def protection(self, visitor: Visitor, id: str) -> PictureFile | str:
        """A box, an area that is found, or a picture that a visitor brought.

        Raises:
            ImpastoError: it is none of them, or what finds the area is not installed here.
        """
        return id if _is_area(id) else self.brought(visitor, id)

    def mask(self, visitor: Visitor, id: str) -> PictureFile | str:
        """An area that is found, or a mask that a visitor brought. Raises as `protection`."""
        if (area := masked_area(id)) is not None:
            _check_area(area.name)
            return id
        return self.brought(visitor, id)

    def brought(self, visitor: Visitor, id: str, names: Iterable[str] = ()) -> PictureFile:
        """What a visitor brought; `names` are of what ships, for a suggestion.

        Raises:
            GoneError: nothing of this id.
        """
        found = visitor.uploads.get(id)
        if found is None:
            raise GoneError(_missing(id, list(names), visitor.uploads))
        return found

    def preview_of(self, picture: PictureFile, size: int = PREVIEW) -> bytes:
        """The picture as a JPEG that a page can show."""
        ready = _preview_path(picture.path)
        return jpeg(read_image(ready if ready.exists() else picture.path).image, size)

    # Jobs

    def paint(
        self,
        visitor: Visitor,
        photograph: PictureFile,
        paintings: Sequence[PictureFile],
        values: Mapping[str, Any],
        *,
        guides: Guides | None = None,
        attended: bool = False,
    ) -> PictureJob:
        """Ask for a picture; one that the visitor has already, painted the same way, is not painted again.

        Args:
            values: settings by name, as texts or numbers.
            attended: stop it when the visitor's page is closed.

        Raises:
            ImpastoError: a setting is wrong, nothing is given, or the limits are reached.
        """
        if not paintings:
            raise ImpastoError("choose a painting first")
        guides = guides or Guides()
        settings = settings_from(values, device=self.device, largest=self.limits.largest)
        _check_network(paintings, settings, guides)
        longer = max(photograph.height, photograph.width)
        if settings.longer_side is None and longer > self.limits.largest:
            raise ImpastoError(
                f"size=full would be {longer} px here; this studio paints up to {self.limits.largest} px: give a number"
            )
        for job in self.jobs.of(visitor.id):
            same = isinstance(job.work, PaintingWork) and job.work == replace(
                job.work, photograph=photograph, paintings=tuple(paintings), settings=settings, guides=guides
            )
            if same and job.state in ("waiting", "painting", "done"):
                return job
        previews = self._previews if attended else None
        work = PaintingWork(
            photograph, tuple(paintings), settings, self._output(visitor), self.painter, guides, previews
        )
        return self._submit(visitor, work, attended)

    def look(
        self,
        visitor: Visitor,
        photograph: PictureFile,
        paintings: Sequence[PictureFile],
        values: Mapping[str, Any],
        *,
        guides: Guides | None = None,
    ) -> PictureJob:
        """Ask what settings would do: a small instant picture, in place of the visitor's last look.

        Raises:
            ImpastoError: a setting is wrong, nothing is given, or the limits are reached.
        """
        if not paintings:
            raise ImpastoError("choose a painting first")
        settings = instantly(settings_from(values, device=self.device, largest=self.limits.largest), LOOK_SIZE)
        _check_network(paintings, settings, guides)
        output = self._output(visitor)
        work = LookWork(photograph, tuple(paintings), settings, output, self.painter, guides or Guides())
        for job in self.jobs.of(visitor.id):
            same = isinstance(job.work, LookWork) and job.work == replace(work, output=job.work.output)
            if same and job.state in ("waiting", "painting", "done"):
                return job
        return self._submit(visitor, work, attended=True)

    def sheet(
        self,
        visitor: Visitor,
        photograph: PictureFile,
        paintings: Sequence[PictureFile],
        values: Mapping[str, Any],
        *,
        attended: bool = False,
    ) -> PictureJob:
        """Ask for a sheet: one painting in several strengths and stroke sizes, or several paintings, one in each cell.

        Args:
            paintings: none for all that ship.

        Raises:
            ImpastoError: a setting is wrong, or the limits are reached.
        """
        settings = settings_from(values, device=self.device)
        if len(paintings) == 1:
            columns, cells = len(SHEET_STRENGTHS), _of_one(paintings[0])
        else:
            every = paintings or [self.painting(visitor, name) for name in style_names()]
            cells = tuple(SheetCell(Path(painting.name).stem, painting) for painting in every)
            columns = columns_of(len(cells), photograph.width / photograph.height)
        work = SheetWork(photograph, cells, columns, settings, self._output(visitor), self.painter)
        return self._submit(visitor, work, attended)

    def texture(
        self,
        visitor: Visitor,
        paintings: Sequence[PictureFile],
        values: Mapping[str, Any],
        *,
        seamless: bool = True,
        attended: bool = False,
    ) -> PictureJob:
        """Ask for a square of a painting's texture.

        Raises:
            ImpastoError: a setting is wrong, nothing is given, or the limits are reached.
        """
        if not paintings:
            raise ImpastoError("choose a painting first")
        settings = settings_from(values, kind="texture", device=self.device, largest=self.limits.largest)
        _check_quality(settings, [name for name, quality in QUALITIES.items() if quality.textures], "textures")
        if networks := [painting.name for painting in paintings if painting.network]:
            raise ImpastoError(f"{networks[0]} is a network, which paints photographs only; choose a painting")
        work = TextureWork(tuple(paintings), settings, self._output(visitor), self.painter, seamless)
        return self._submit(visitor, work, attended)

    def film(
        self,
        visitor: Visitor,
        film: PictureFile,
        paintings: Sequence[PictureFile],
        values: Mapping[str, Any],
        *,
        boil: float = 20.0,
        protect: str | None = None,
        attended: bool = False,
    ) -> PictureJob:
        """Ask for a film.

        Args:
            boil, protect: as of `Painter.film`, but no picture.

        Raises:
            ImpastoError: a setting is wrong, nothing is given, or the limits are reached.
        """
        if film.film is None:
            raise ImpastoError(f"{film.name} is a picture, not a film; give a clip as .mp4, .mov, .mkv or .webm")
        if not paintings:
            raise ImpastoError("choose a painting first")
        settings = settings_from(values, kind="film", device=self.device)
        _check_network(paintings, settings)
        _check_quality(settings, FILM_QUALITIES, "films")
        longer = min(settings.longer_side or max(film.height, film.width), self.limits.film_largest)
        settings = replace(settings, size=longer)
        if protect and not _is_area(protect):
            raise ImpastoError(f"protect={protect:.100} is nothing that a film can keep; give faces, subject or a box")
        work = FilmWork(film, tuple(paintings), settings, self._output(visitor), self.painter, boil, protect or None)
        return self._submit(visitor, work, attended)

    def job(self, id: str) -> PictureJob:
        """A job by its id.

        Raises:
            GoneError: there is none.
        """
        job = self.jobs.get(id)
        if job is None:
            raise GoneError("there is no such picture, or it was removed meanwhile")
        job.touched = time.monotonic()
        return job

    def picture_of(self, job: PictureJob, size: int = PREVIEW) -> bytes:
        """The latest picture of a job as a JPEG.

        Raises:
            GoneError: there is none yet.
        """
        image = job.image
        if image is not None:
            return jpeg(image, size)
        try:
            with Image.open(job.work.output) as file:
                longer = max(file.size)
            return jpeg(read_image(job.work.output, min(size, longer)).image, size)
        except (FileNotFoundError, ImageError):
            raise GoneError("nothing is painted yet, or not any more; ask again later") from None

    def converted(self, job: PictureJob, extension: str, bits: int) -> Path:
        """The picture of a finished or stopped job in a format, as a file that the caller removes.

        Raises:
            GoneError: there is none.
        """
        if job.state in (State.DONE, State.STOPPED):
            with suppress(FileNotFoundError):
                return self.conversions.of(job.work.output, extension, bits)
        raise GoneError("the picture is not finished; ask for its status, or stop it and keep what there is")

    def _took(self, job: PictureJob) -> None:
        if isinstance(job.work, PaintingWork) and not any(painting.network for painting in job.work.paintings):
            self.pace.add(job.work.settings.quality, job.size[0] * job.size[1], job.seconds)

    def _output(self, visitor: Visitor) -> Path:
        return self._folder_of(visitor) / f"{secrets.token_hex(12)}.png"

    def _submit(self, visitor: Visitor, work: PictureWork, attended: bool) -> PictureJob:
        with self._lock:
            for look in [job for job in self.jobs.of(visitor.id) if isinstance(job.work, LookWork)]:
                self.jobs.remove(look)  # nobody waits for it any more
            jobs = self.jobs.of(visitor.id)
            unfinished = [job for job in jobs if not job.over]
            if len(unfinished) >= self.limits.unfinished:
                raise BusyError(f"{len(unfinished)} pictures of yours are not finished; wait for one, or stop one")
            every = [job for job in self.jobs.all() if not job.over]
            if sum(job.address == visitor.address for job in every) >= self.limits.unfinished_by_address:
                raise BusyError("too many pictures from your address are not finished; wait for one")
            if len(every) >= self.limits.waiting:
                raise BusyError("too many pictures are waiting; come back in some minutes")
            for old in [job for job in jobs if job.over][: max(0, len(jobs) + 1 - self.limits.finished)]:
                self.jobs.remove(old)
            return self.jobs.submit(PictureJob(visitor.id, work, address=visitor.address, attended=attended))


def _is_area(text: str) -> bool:
    """Whether it names an area that is found, or is a box.

    Raises:
        ImpastoError: it must be a slip, or what finds the area is not installed here.
    """
    if (area := protected_area(text)) is not None:
        _check_area(area.name)
        return True
    return re.fullmatch(r"[-\d.%\s]+(,[-\d.%\s]*){3}", text) is not None


def _check_area(name: str) -> None:
    if missing := missing_for(name):
        raise ImpastoError(f"{name} cannot be found here. {missing}")


def _check_quality(settings: Settings, choices: Sequence[str], what: str) -> None:
    if settings.quality not in choices:
        raise ImpastoError(f"quality={settings.quality!r} makes no {what}; choose from: {', '.join(choices)}")


def _check_network(paintings: Sequence[PictureFile], settings: Settings, guides: Guides | None = None) -> None:
    """Refuse what a network cannot do, if there is one, before there is a job.

    Raises:
        SettingsError: that is asked for.
    """
    if any(painting.network for painting in paintings):
        try:
            method_for([painting.style for painting in paintings], settings, (guides or Guides()).arguments())
        except SettingsError as error:
            raise SettingsError(named(str(error), paintings)) from None


def _of_one(painting: PictureFile) -> tuple[SheetCell, ...]:
    """A sheet of one painting: a row for each stroke size, a column for each strength; of a network one row."""
    if painting.network:
        strengths = [painting.learnt * (column + 1) / len(SHEET_STRENGTHS) for column in range(len(SHEET_STRENGTHS))]
        return tuple(SheetCell(f"strength {one:g}", painting, {"strength": one}) for one in strengths)
    return tuple(
        SheetCell(f"strength {strength}, strokes {scale:g}", painting, {"strength": strength, "style_scale": scale})
        for scale in SHEET_SCALES
        for strength in SHEET_STRENGTHS
    )


def columns_of(cells: int, shape: float) -> int:
    """How many columns bring a sheet of so many pictures, of this width by height, near to `SHEET_SHAPE`."""

    def off(columns: int) -> float:
        return abs(math.log(shape * columns / math.ceil(cells / columns) / SHEET_SHAPE))

    return min(range(1, cells + 1), key=off)


def remove_abandoned_folders() -> None:
    """Remove visitors' pictures that servers of this user left behind when they were killed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{LOCK}"):
        with suppress(OSError, Timeout):  # another user's, or of a server that runs
            with FileLock(lock, timeout=0):
                pass
            shutil.rmtree(lock.parent)


def jpeg(image: Tensor, size: int = PREVIEW) -> bytes:
    """The image (1, 3, height, width) as a JPEG for the page, its longer side at most `size`."""
    height, width = image.shape[-2:]
    if max(height, width) > size:
        image = resize(image, *fit(height, width, size))
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _shipped(name: str, path: Path) -> PictureFile:
    with Image.open(path) as image:
        return PictureFile(name, name if path.parent.name == "styles" else path.name, path, image.height, image.width)


def _missing(id: str, names: Sequence[str], uploads: Mapping[str, PictureFile]) -> str:
    """A sentence about a picture that is not there: what is probably meant, or what there is."""
    for key, picture in uploads.items():
        if picture.name == id:
            return f"there is no picture {id!r} here; of the file of this name give the id, {key}"
    close = difflib.get_close_matches(id, [*names, *uploads], n=1)
    if close:
        return f"there is no picture or style {id!r} here; did you mean {close[0]}?"
    others = f", or choose from: {', '.join(names)}" if names else ""
    return f"there is no picture {id!r} here any more; give it again{others}"


def _preview_path(path: Path) -> Path:
    return path.with_suffix(".preview.jpg")


def _plain(name: str) -> str:
    """A file's name as it may be shown and used: no folders, nothing that cannot be printed."""
    name = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()).strip(". ")
    return name[-80:] or "picture"
