//! `Cold`: the state of a decoder that whole single-line events don't need.

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use super::event::Event;
use super::event_buffer::{DataBuffer, EventBuffer};
use crate::slice::{bytes_between, bytes_in};

/// Capacity up to which a buffer is kept while the events don't need it.
pub(super) const IDLE_CAPACITY: usize = 64 << 10;
/// Number of small events in a row after which large buffers are freed.
const SMALL_EVENTS: u16 = 64;

/// The state that cut events, several lines, ids, types and exceeded limits need.
#[derive(Clone, Default)]
pub(crate) struct Cold {
    pub(crate) stream: StreamState,
    pub(super) event: EventBuffer,
    /// The bytes of `event` if an earlier piece contains its start, else empty.
    pub(super) buffer: Vec<u8>,
    /// The data of `event` if several lines contain it, else empty.
    pub(super) data_buffer: Vec<u8>,
    /// The event type with U+FFFD, if its bytes aren't UTF-8.
    pub(super) lossy_type: String,
    /// Number of small events in a row while a buffer is large: `small_events < SMALL_EVENTS`.
    small_events: u16,
}

/// The state of a stream that outlives an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) last_event_id: String,
    pub(crate) reconnection_time: Option<u64>,
}

impl StreamState {
    /// Returns true if the state is that of a stream without an id and a reconnection time.
    pub(super) const fn is_initial(&self) -> bool {
        self.last_event_id.is_empty() && self.reconnection_time.is_none()
    }
}

impl Cold {
    /// Returns the bytes of the event, of which `piece` has all unless an earlier piece has some.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, piece: &'a [u8]) -> &'a [u8] {
        if self.buffer.is_empty() { piece } else { &self.buffer }
    }

    /// Removes the event, which the caller has; keeps the buffers.
    pub(super) fn clear_event(&mut self) {
        if self.largest_capacity() > IDLE_CAPACITY {
            self.shrink_if_idle();
        }
        self.event = EventBuffer::default();
        self.buffer.clear();
        self.data_buffer.clear();
    }

    /// Frees large buffers after [`SMALL_EVENTS`] small events in a row.
    #[cold]
    fn shrink_if_idle(&mut self) {
        if self.lossy_type.capacity() > IDLE_CAPACITY {
            // A large event type is rare, so its buffer isn't kept for another one.
            self.lossy_type = String::new();
        }
        let largest = self.largest_capacity();
        self.small_events = if self.event.len < largest / 8 { self.small_events + 1 } else { 0 };
        if self.small_events >= SMALL_EVENTS {
            self.buffer = Vec::new();
            self.data_buffer = Vec::new();
            self.small_events = 0;
        }
    }

    #[inline]
    fn largest_capacity(&self) -> usize {
        self.buffer.capacity().max(self.data_buffer.capacity()).max(self.lossy_type.capacity())
    }

    /// Returns true if no buffer is larger than [`IDLE_CAPACITY`].
    #[inline]
    pub(super) fn is_small(&self) -> bool {
        self.largest_capacity() <= IDLE_CAPACITY
    }

    /// Makes the state that of a fresh decoder; keeps the capacity of the buffers.
    pub(super) fn reset(&mut self) {
        let Self { stream, event, buffer, data_buffer, lossy_type, small_events } = self;
        (*event, *small_events, stream.reconnection_time) = (EventBuffer::default(), 0, None);
        buffer.clear();
        data_buffer.clear();
        for text in [lossy_type, &mut stream.last_event_id] {
            text.clear();
        }
    }

    /// Frees all but the state of the stream; returns false if that is none either.
    pub(super) fn release(&mut self) -> bool {
        *self = Self { stream: core::mem::take(&mut self.stream), ..Self::default() };
        !self.stream.is_initial()
    }

    /// Returns the event in the buffers; stores neither its id nor its type.
    #[inline]
    pub(super) fn view<'a>(&'a self, offset: u64, raw: &'a [u8]) -> Event<'a> {
        debug_assert!(self.event.len > 0, "an event has bytes");
        let raw = self.bytes(raw);
        let has_fields = self.event.error.is_none();
        let data = match &self.event.data {
            DataBuffer::Single(value) if has_fields => bytes_in(raw, value.clone()),
            DataBuffer::Joined if has_fields => self.data_buffer.as_slice(),
            _ => &[],
        };
        Event { raw, data, offset, cold: Some(self) }
    }

    /// Returns the value of the last `event` line in the buffers, whose bytes are `raw`; may be empty.
    pub(super) const fn event_type<'a>(&'a self, raw: &'a [u8]) -> Option<&'a str> {
        match (&self.event.error, &self.event.event_type) {
            (None, Some(value)) => {
                match str::from_utf8(bytes_between(raw, value.start, value.end)) {
                    Ok(event_type) => Some(event_type),
                    Err(_) => Some(self.lossy_type.as_str()),
                }
            }
            _ => None,
        }
    }

    /// Returns the start of the data of the event in the buffers, or `None` if they were joined.
    pub(super) const fn data_start(&self) -> Option<usize> {
        match (&self.event.error, &self.event.data) {
            (None, DataBuffer::Single(value)) => Some(value.start),
            (None, DataBuffer::Joined) => None,
            _ => Some(0),
        }
    }
}
