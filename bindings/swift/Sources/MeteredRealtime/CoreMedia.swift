#if canImport(CoreMedia)
    import CoreMedia
    import Foundation

    extension LocalVideoTrack {
        /// Hands a picture that VideoToolbox has compressed to every remote, as the other `write` does: H.264, with
        /// the parameter sets of its format description before each key frame. Its presentation time counts. Throws
        /// `other_codec` if track or sample are of another codec.
        ///
        /// It was compiled against stand-ins of Apple's modules alone, and never ran on a device.
        public func write(_ sample: CMSampleBuffer, rotationDegrees: Int = 0) throws {
            guard let block = CMSampleBufferGetDataBuffer(sample),
                let format = CMSampleBufferGetFormatDescription(sample)
            else {
                throw invalidArgument(
                    "sample_buffer_empty", "the sample buffer has no data or no format",
                    cause: "Only what a compression session gives can be sent.",
                    fix: "Write the sample buffers of the session's output handler, those without an error.")
            }
            guard codec == .h264 else {
                throw otherCodec("the track carries \(codec.mimeType), not \(VideoCodec.h264.mimeType)")
            }
            guard CMFormatDescriptionGetMediaSubType(format) == kCMVideoCodecType_H264 else {
                throw otherCodec("the sample buffer is not of \(VideoCodec.h264.mimeType)")
            }
            var data = Data()
            let isKeyFrame = sample.isSync
            if isKeyFrame { try appendParameterSets(of: format, to: &data) }
            let before = data.count
            data.count += CMBlockBufferGetDataLength(block)
            let status = data.withUnsafeMutableBytes { bytes -> OSStatus in
                guard let start = bytes.baseAddress else { return noErr }
                return CMBlockBufferCopyDataBytes(
                    block, atOffset: 0, dataLength: bytes.count - before, destination: start + before)
            }
            try check(status, "CMBlockBufferCopyDataBytes")
            let time = CMTimeConvertScale(
                CMSampleBufferGetPresentationTimeStamp(sample), timescale: 1_000_000,
                method: .roundHalfAwayFromZero)
            try write(
                data, timestampUs: UInt64(clamping: time.value), keyFrame: isKeyFrame,
                rotationDegrees: rotationDegrees)
        }
    }

    /// Makes sample buffers of the H.264 pictures of one track, for an `AVSampleBufferDisplayLayer` or a
    /// decompression session. For one task at a time.
    ///
    /// It was compiled against stand-ins of Apple's modules alone, and never ran on a device.
    public final class SampleBuffers {
        private var sets: [Data] = []
        private var format: CMFormatDescription?

        /// For the pictures of a sink from its first on.
        public init() {}

        /// A picture, to be shown at once. `nil` until the first key frame, and for a picture with nothing to show.
        public func sampleBuffer(for unit: AccessUnit) throws -> CMSampleBuffer? {
            guard unit.codec == .h264 else {
                throw invalidArgument(
                    "codec_not_supported", "a picture of \(unit.codec.mimeType)",
                    cause: "A sample buffer is made of H.264 alone.",
                    fix: "Have the sender use H.264, or decode the picture with a decoder of its codec.")
            }
            let (sets, units) = H264.parts(ofAnnexB: unit.data)
            if !sets.isEmpty, sets != self.sets {
                format = try description(of: sets)
                self.sets = sets
            }
            guard let format, !units.isEmpty else { return nil }
            return try sampleBuffer(of: units, format, unit)
        }

        private func sampleBuffer(
            of units: Data, _ format: CMFormatDescription, _ unit: AccessUnit
        ) throws -> CMSampleBuffer? {
            var block: CMBlockBuffer?
            try check(
                CMBlockBufferCreateWithMemoryBlock(
                    allocator: kCFAllocatorDefault, memoryBlock: nil, blockLength: units.count,
                    blockAllocator: kCFAllocatorDefault, customBlockSource: nil, offsetToData: 0,
                    dataLength: units.count, flags: kCMBlockBufferAssureMemoryNowFlag, blockBufferOut: &block),
                "CMBlockBufferCreateWithMemoryBlock")
            guard let block else { return nil }
            let status = units.withUnsafeBytes { bytes -> OSStatus in
                guard let start = bytes.baseAddress else { return noErr }
                return CMBlockBufferReplaceDataBytes(
                    with: start, blockBuffer: block, offsetIntoDestination: 0, dataLength: bytes.count)
            }
            try check(status, "CMBlockBufferReplaceDataBytes")
            let time = CMTime(value: CMTimeValue(clamping: unit.timestampUs), timescale: 1_000_000)
            var timing = CMSampleTimingInfo(
                duration: .invalid, presentationTimeStamp: time, decodeTimeStamp: .invalid)
            var (size, sample) = (units.count, CMSampleBuffer?.none)
            try check(
                CMSampleBufferCreateReady(
                    allocator: kCFAllocatorDefault, dataBuffer: block, formatDescription: format, sampleCount: 1,
                    sampleTimingEntryCount: 1, sampleTimingArray: &timing, sampleSizeEntryCount: 1,
                    sampleSizeArray: &size, sampleBufferOut: &sample),
                "CMSampleBufferCreateReady")
            sample?.mark(isSync: unit.keyFrame)
            return sample
        }
    }

    extension CMSampleBuffer {
        /// Whether a decoder can begin here: what says nothing is such a one.
        fileprivate var isSync: Bool {
            let all = CMSampleBufferGetSampleAttachmentsArray(self, createIfNecessary: false) as? [[CFString: Any]]
            return all?.first?[kCMSampleAttachmentKey_NotSync] as? Bool != true
        }

        fileprivate func mark(isSync: Bool) {
            guard let all = CMSampleBufferGetSampleAttachmentsArray(self, createIfNecessary: true) else { return }
            let first = (all as NSArray).firstObject as? NSMutableDictionary
            first?[kCMSampleAttachmentKey_DisplayImmediately] = true
            first?[kCMSampleAttachmentKey_NotSync] = !isSync
        }
    }

    private func otherCodec(_ message: String) -> MeteredError {
        invalidArgument(
            "other_codec", message,
            cause: "Sample buffers are sent as H.264, and a track carries one codec.",
            fix: "Make the track with .h264 and the compression session with kCMVideoCodecType_H264.")
    }

    private func appendParameterSets(of format: CMFormatDescription, to data: inout Data) throws {
        var (at, count, lengthBytes) = (0, 0, Int32(0))
        repeat {
            var (set, size) = (UnsafePointer<UInt8>?.none, 0)
            try check(
                CMVideoFormatDescriptionGetH264ParameterSetAtIndex(
                    format, parameterSetIndex: at, parameterSetPointerOut: &set, parameterSetSizeOut: &size,
                    parameterSetCountOut: &count, nalUnitHeaderLengthOut: &lengthBytes),
                "CMVideoFormatDescriptionGetH264ParameterSetAtIndex")
            guard lengthBytes == H264.lengthBytes, let set else {
                throw invalidArgument(
                    "avcc_length_size", "units with lengths of \(lengthBytes) bytes",
                    cause: "AVCC is read with lengths of four bytes alone.",
                    fix: "Write what VideoToolbox gives, or Annex B with the other `write`.")
            }
            H264.append(UnsafeBufferPointer(start: set, count: size), to: &data)
            at += 1
        } while at < count
    }

    private func description(of sets: [Data]) throws -> CMFormatDescription? {
        let sizes = sets.map(\.count)
        let joined = [UInt8](sets.joined())
        var format: CMFormatDescription?
        let status = joined.withUnsafeBufferPointer { bytes -> OSStatus in
            guard var start = bytes.baseAddress else { return noErr }
            let pointers = sizes.map { size in
                defer { start += size }
                return start
            }
            return CMVideoFormatDescriptionCreateFromH264ParameterSets(
                allocator: kCFAllocatorDefault, parameterSetCount: sizes.count, parameterSetPointers: pointers,
                parameterSetSizes: sizes, nalUnitHeaderLength: Int32(H264.lengthBytes),
                formatDescriptionOut: &format)
        }
        try check(status, "CMVideoFormatDescriptionCreateFromH264ParameterSets")
        return format
    }

    private func check(_ status: OSStatus, _ call: String) throws {
        guard status != noErr else { return }
        throw invalidArgument(
            "core_media", "\(call) gave \(status)",
            cause: "Core Media does not take what the encoder or the remote made.",
            fix: "Look the status up in CMSampleBuffer.h, CMBlockBuffer.h and CMFormatDescription.h.")
    }
#endif
