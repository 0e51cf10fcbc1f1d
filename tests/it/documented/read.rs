use bytes::Bytes;
use deltawire::adapters::ChunkStream;
use deltawire::Reassembler;
use deltawire::completion::FinishedCompletion;
use futures_core::Stream;

async fn read<E>(body: impl Stream<Item = Result<Bytes, E>>) -> Result<FinishedCompletion, E> {
    let body = std::pin::pin!(body);
    let (mut chunks, mut completion) = (ChunkStream::new(body), Reassembler::new());
    while let Some(event) = chunks.next().await {
        completion.push_payload(event?.payload());
    }
    Ok(completion.finish(chunks.finish()))
}
