"""How much memory the tensors made in a call take at a time."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_memory(call: Callable[[], object]) -> float:
    """Return the most memory in MB (1e6 bytes) that tensors made in a call take at a time.

    What was there before does not count. What one operation uses inside itself is not seen.
    """
    ledger = _Ledger()
    with ledger:
        call()
    return ledger.most / 1e6


class _Ledger(TorchDispatchMode):
    """Sees every operation, and when the memory of what it returns is given back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._held = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        for storage in _storages((args, kwargs)):
            self._enter(storage, 0)  # what is not known by now was there before the call
        result = func(*args, **kwargs)
        for storage in _storages(result):
            self._enter(storage, storage.nbytes())
        return result

    def _enter(self, storage: UntypedStorage, size: int) -> None:
        address = storage._cdata
        if address in self._known:
            return
        self._known.add(address)
        self._held += size
        self.most = max(self.most, self._held)
        weakref.finalize(storage, self._leave, address, size)

    def _leave(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._held -= size


def _storages(values: Any) -> list[UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
