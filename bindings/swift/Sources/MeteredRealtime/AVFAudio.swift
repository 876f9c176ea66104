#if canImport(AVFAudio)
    import AVFAudio
    import Foundation

    extension LocalAudioTrack {
        /// Takes what an input node's tap records, as the other `write` does: floats or 16 bits, interleaved or not,
        /// one or two channels.
        ///
        /// It was compiled against stand-ins of Apple's modules alone, and never ran on a device.
        public func write(_ buffer: AVAudioPCMBuffer) throws {
            let (format, frames) = (buffer.meteredFormat, Int(buffer.frameLength))
            if let planes = buffer.floatChannelData {
                try write(interleaved(planes, frames, buffer.format), format: format)
            } else if let planes = buffer.int16ChannelData {
                try write(interleaved(planes, frames, buffer.format), format: format)
            } else {
                throw unsupported(buffer)
            }
        }
    }

    extension AudioMix {
        /// Fills a buffer to its capacity. It has the mix's rate and channels.
        ///
        /// It was compiled against stand-ins of Apple's modules alone, and never ran on a device.
        public func pull(into buffer: AVAudioPCMBuffer) throws {
            try fill(buffer, format, { try self.pull(into: &$0) }, { try self.pull(into: &$0) })
        }
    }

    extension AudioOutput {
        /// Fills a buffer to its capacity. It has the output's rate and channels.
        ///
        /// It was compiled against stand-ins of Apple's modules alone, and never ran on a device.
        public func pull(into buffer: AVAudioPCMBuffer) throws {
            try fill(buffer, format, { try self.pull(into: &$0) }, { try self.pull(into: &$0) })
        }
    }

    extension AVAudioPCMBuffer {
        fileprivate var meteredFormat: PCMFormat {
            PCMFormat(sampleRate: Int(format.sampleRate), channels: Int(format.channelCount))
        }
    }

    private func unsupported(_ buffer: AVAudioPCMBuffer) -> MeteredError {
        invalidArgument(
            "audio_format", "a buffer of \(buffer.format)",
            cause: "The samples are neither floats nor 16 bits, or rate and channels are not those of the track.",
            fix: "Use a format of `.pcmFormatFloat32` or `.pcmFormatInt16` with the same rate and channels.")
    }

    /// The samples in the order in which tracks take them.
    private func interleaved<Sample>(
        _ planes: UnsafePointer<UnsafeMutablePointer<Sample>>, _ frames: Int, _ format: AVAudioFormat
    ) -> [Sample] {
        let channels = Int(format.channelCount)
        guard !format.isInterleaved, channels > 1 else {
            return Array(UnsafeBufferPointer(start: planes[0], count: frames * channels))
        }
        return PCM.interleaved((0..<channels).map { UnsafeBufferPointer(start: planes[$0], count: frames) })
    }

    private func fill(
        _ buffer: AVAudioPCMBuffer, _ format: PCMFormat, _ pullFloats: (inout [Float]) throws -> Void,
        _ pullIntegers: (inout [Int16]) throws -> Void
    ) throws {
        guard buffer.meteredFormat == format else { throw unsupported(buffer) }
        let (frames, channels) = (Int(buffer.frameCapacity), format.channels)
        if let planes = buffer.floatChannelData {
            var pcm = [Float](repeating: 0, count: frames * channels)
            try pullFloats(&pcm)
            copy(pcm, planes, buffer.format)
        } else if let planes = buffer.int16ChannelData {
            var pcm = [Int16](repeating: 0, count: frames * channels)
            try pullIntegers(&pcm)
            copy(pcm, planes, buffer.format)
        } else {
            throw unsupported(buffer)
        }
        buffer.frameLength = buffer.frameCapacity
    }

    private func copy<Sample>(
        _ pcm: [Sample], _ planes: UnsafePointer<UnsafeMutablePointer<Sample>>, _ format: AVAudioFormat
    ) {
        let channels = Int(format.channelCount)
        let parts = format.isInterleaved ? [pcm] : (0..<channels).map { PCM.plane($0, of: pcm, channels: channels) }
        for (number, part) in parts.enumerated() {
            part.withUnsafeBufferPointer { samples in
                guard let start = samples.baseAddress else { return }
                planes[number].update(from: start, count: samples.count)
            }
        }
    }
#endif
